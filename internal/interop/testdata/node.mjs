// node node.mjs DIR TARGET makes the checks with the client that is unpacked in DIR.
// TARGET is JSON: host, version, apiKey, token, limited (a token that may only create
// users) and hal (which form is asked for).
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { run } from './checks.mjs';
import { connect, fetching, memory, silence } from './client.mjs';
import { report } from './report.mjs';

const [dir, json] = process.argv.slice(2);
const target = JSON.parse(json);
const require = createRequire(import.meta.url);

globalThis.window = globalThis; // to which the client's bundle adds itself
require(join(dir, 'reflect.js'));
const sdk = require(join(dir, 'client.js'));

const as = (token, apiKey = target.apiKey) => connect(sdk, { ...target, apiKey }, token, {
  httpClient: () => fetching(),
  storageHandler: memory,
  eventHandler: silence,
});
const ok = await run(as, target, report(console.log));
process.exit(ok ? 0 : 1); // the client waits for the end of a token, and Node for the client
