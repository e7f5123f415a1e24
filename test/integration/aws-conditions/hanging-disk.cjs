// Loaded into the processes of a test: while the file BATON_TEST_HANG names is there, the thread that writes its vote
// stands still for three seconds, as on a network disk that is lost.
const fs = require('node:fs');
const sync = fs.fdatasyncSync;
fs.fdatasyncSync = (fd) => {
  const flag = process.env.BATON_TEST_HANG;
  if (flag && fs.existsSync(flag)) {
    fs.rmSync(flag, { force: true });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_000);
  }
  sync(fd);
};
