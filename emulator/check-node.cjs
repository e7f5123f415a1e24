// Loaded before anything else, in a syntax that every Node reads: an older one would only say that it does not know `.ts`.
const wanted = require('../package.json').engines.node.replace('>=', '');
if (wanted.localeCompare(process.versions.node, 'en', { numeric: true }) > 0) {
  process.stderr.write(
    `Baton needs Node ${wanted} or newer, this is ${process.versions.node}.\n` +
      'On Linux and Windows `npm ci` brings its own: start it through npm (`npm start`, `npm run baton -- status`).\n' +
      'On macOS install it from https://nodejs.org or with `brew install node@24`.\n',
  );
  process.exit(1);
}

// Compiled code is kept from one start to the next, for this process and, through the environment, for all it starts:
// a dozen processes of ours start at once.
const compiled = require('node:path').join(__dirname, '../node_modules/.cache/compiled');
require('node:module').enableCompileCache(compiled);
process.env.NODE_COMPILE_CACHE ??= compiled;
