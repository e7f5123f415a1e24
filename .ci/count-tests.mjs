// Adds up the JSON reports of all test runs: prints "<passed> <failed> <skipped>" for .ci/run, and names on standard error
// what failed and what was skipped, so that nothing is skipped quietly. A run without a report is a failure of its own.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const folder = process.argv[2] ?? '';
const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
if (files.length < 2)
  throw new Error(`expected the reports of two test runs in ${folder}, found ${files.length}`);
let passed = 0;
let failed = 0;
let skipped = 0;
for (const file of files) {
  const report = JSON.parse(readFileSync(join(folder, file), 'utf8'));
  passed += report.numPassedTests;
  failed += report.numFailedTests;
  for (const suite of report.testResults) {
    const name = relative(process.cwd(), suite.name);
    if (suite.status === 'failed' && suite.assertionResults.length === 0) {
      failed += 1;
      process.stderr.write(`failed: ${name} could not be run: ${suite.message}\n`);
    }
    for (const test of suite.assertionResults) {
      if (test.status === 'passed') continue;
      if (test.status !== 'failed') skipped += 1;
      process.stderr.write(
        `${test.status === 'failed' ? 'failed' : 'skipped'}: ${name} > ${test.fullName}\n`,
      );
    }
  }
}
process.stdout.write(`${passed} ${failed} ${skipped}`);
