// Where a node's public listener is asked, said once: for the node that answers, its page, the CLI and whatever watches it.
// public-api.ts has what is answered. Imports nothing, since the page is bundled with it. What varies in a path is already
// escaped: `:id` for a node's router, `{id}` for the description of the API, encodeURIComponent for whoever asks.
export const publicRoutes = {
  items: '/items',
  /** One with its history. */
  item: (source: string, sku: string) => `/items/${source}/${sku}`,
  itemTrace: (source: string, sku: string) => `/items/${source}/${sku}/trace`,
  messageTrace: (id: string) => `/messages/${id}/trace`,
  export: '/export',

  /** Server-sent events. */
  live: '/live',
  cluster: '/cluster',
  transfer: '/cluster/transfer',
  counts: '/counts',
  queues: '/queues',

  sources: '/sources',
  source: (name: string) => `/sources/${name}`,
  watches: '/watches',
  watch: (id: string) => `/watches/${id}`,
  /** Where a watch is ended by its id alone: stands in the header of each mail (RFC 8058). */
  endOfWatch: (id: string) => `/watches/${id}/end`,
  erasures: '/erasures',
  files: '/files',
  file: (id: string) => `/files/${id}`,
  retryFile: (id: string) => `/files/${id}/retry`,
  crawls: '/crawls',
  mails: '/mails',
  /** Who led. */
  history: '/history',

  deadLetters: '/dead-letters',
  deadLetterGroups: '/dead-letters/groups',
  deadLetterActions: '/dead-letters/actions',
  deadLetter: (id: number | string) => `/dead-letters/${id}`,
  deadLetterBody: (id: number | string) => `/dead-letters/${id}/body`,
  retryDeadLetters: '/dead-letters/retry',
  discardDeadLetters: '/dead-letters/discard',

  faults: '/faults',
  services: '/services',
  sessionKeys: '/session-keys',

  /** 200 or 503, for load balancers: Patroni's names. */
  leader: '/leader',
  replica: '/replica',
  health: '/health',
  liveness: '/liveness',
  readiness: '/readiness',
  metrics: '/metrics',
  openapi: '/openapi.json',
} as const;
