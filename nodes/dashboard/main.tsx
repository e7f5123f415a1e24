// The page of a node: what is wrong, its cluster, the stream of items, queues, files, crawls and mails, live. It changes nothing but a
// watch, which whoever got its mail may end; and on a laptop it breaks what it shows.
import { effect } from '@preact/signals';
import { render } from 'preact';
import { SpokenStatus, startSpeaking } from './spoken-status.tsx';
import { Cluster } from './cluster.tsx';
import { ConnectionBadge, LostBanner } from './connection.tsx';
import { Faults } from './faults.tsx';
import { Items } from './items.tsx';
import { Crawls, EventLog, Files, Mails, Queues, Sources } from './panels.tsx';
import { startPlace } from './place.ts';
import { Problems } from './problems.tsx';
import { Services } from './services.tsx';
import { cluster, start } from './state.ts';
import { Watched } from './watched.tsx';
import './style.css';

function App() {
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header>
        <h1>Baton</h1>
        <p class="quiet">{cluster.value.value ? `seen from ${cluster.value.value.nodeId}` : ''}</p>
        <ConnectionBadge />
      </header>
      <main id="main" tabIndex={-1}>
        <LostBanner />
        <Problems />
        <Watched />
        <Cluster />
        <Services />
        <Faults />
        <div class="columns">
          <Items />
          <div class="side">
            <EventLog />
            <Queues />
            <Sources />
            <Files />
            <Crawls />
            <Mails />
          </div>
        </div>
      </main>
      <SpokenStatus />
    </>
  );
}

start();
startPlace();
startSpeaking();
effect(() => {
  const view = cluster.value.value;
  document.title = view ? `${view.leader?.nodeId ?? 'no leader'} · Baton` : 'Baton';
});
const root = document.getElementById('app');
if (root) {
  root.replaceChildren();
  render(<App />, root);
}
