// Preloaded into a node's process and threads: a disk like EFS, on which making something durable takes 50 ms.
const { appendFileSync } = require('node:fs');
const fs = require('node:fs');
const { syncBuiltinESMExports } = require('node:module');

const real = fs.fdatasyncSync;
const cell = new Int32Array(new SharedArrayBuffer(4));
fs.fdatasyncSync = (fd) => {
  real(fd);
  Atomics.wait(cell, 0, 0, 50);
  appendFileSync(process.env.SLOW_DISK_LOG, '.');
};
syncBuiltinESMExports();
