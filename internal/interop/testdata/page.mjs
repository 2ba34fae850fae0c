// What the test calls in the page. Both return the lines of a report.
import { run } from './checks.mjs';
import { connect, fetching, memory } from './client.mjs';
import { equal, report, that } from './report.mjs';

const sdk = window.baasicSdkJavaScript;

// adapters are how the client sends: by its own, which is jQuery's, or by fetch.
const adapters = { jquery: {}, fetch: { httpClient: () => fetching('include') } };

// clients returns what makes the clients of a target. The first with its token has
// all that is the client's own: it keeps the token in the browser.
function clients(target, adapter) {
  let own = true;
  return (token, apiKey = target.apiKey) => {
    const options = own ? {} : { storageHandler: memory };
    own = false;
    return connect(sdk, { ...target, apiKey }, token, { ...adapters[adapter], ...options });
  };
}

window.checks = async (target, adapter) => {
  const lines = [];
  await run(clients(target, adapter), target, report((line) => lines.push(line)));
  return lines;
};

// shutOut checks that the browser keeps every answer from this page.
window.shutOut = async (target, adapter, user) => {
  const lines = [];
  const { check, end } = report((line) => lines.push(line));
  const as = clients(target, adapter);
  const members = as(target.token).membershipModule;
  const requests = {
    'user.create': () => members.user.create(user),
    'user.get': () => members.user.get(user.userName),
    'user.find': () => members.user.find(),
    'user.exists': () => members.user.exists(user.userName),
    'role.find': () => members.role.find(),
    'user.find without a token': () => as().membershipModule.user.find(),
  };
  for (const [name, ask] of Object.entries(requests)) {
    await check(`shut out: ${name}`, async () => {
      const e = await ask().then((r) => { throw new Error(`the page reads ${JSON.stringify(r.data)}`); }, (e) => e);
      if (e instanceof Error) throw e;
      equal([e.statusCode, e.headers], [0, {}], 'what the page learns');
      that(!e.data, `the page reads ${e.data}`);
    });
  }
  end();
  return lines;
};
