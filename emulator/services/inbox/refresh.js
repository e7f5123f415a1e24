// Keeps the inbox's list up to date while somebody looks at it. The page works without it.
const everyMs = 2_000;

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch('/', { cache: 'no-cache', signal: AbortSignal.timeout(everyMs) });
  const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('#mails');
  const shown = document.querySelector('#mails');
  if (!fresh || !shown || fresh.innerHTML === shown.innerHTML) return;
  const focused = shown.contains(document.activeElement)
    ? document.activeElement?.getAttribute('href')
    : null;
  shown.replaceChildren(...fresh.childNodes);
  if (focused) shown.querySelector(`a[href="${focused}"]`)?.focus();
}

setInterval(() => void refresh().catch(() => undefined), everyMs); // The inbox is away: the next round tells.
