// Ports inside the VPC. Each is above 1024 where the process runs as nobody.
export const ports = {
  /** Plain HTTP: the load balancer in front of it ends TLS, and nobody else gets there. */
  web: 8080,
  internal: 7443,
  /** UDP for votes, TCP for evidence: one number, as nodes/transport wants it. */
  raft: 7400,
  database: 5432,
  nfs: 2049,
  broker: 5671,
  ftp: 21,
  ftpPassiveMin: 40_000,
  ftpPassiveMax: 40_099,
} as const;
