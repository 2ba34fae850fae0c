// report collects what was checked, a line each.
export function report(say) {
  let passed = 0;
  let failed = 0;
  return {
    // check runs one check, which throws where something is wrong.
    async check(name, run) {
      try {
        await run();
        passed++;
        say(`ok   ${name}`);
      } catch (e) {
        failed++;
        say(`FAIL ${name}: ${text(e)}`);
      }
    },
    end() {
      say(`${passed} ok, ${failed} failed`);
      return failed === 0;
    },
  };
}

// text tells what went wrong: of a refusal that the client hands on, the answer.
function text(e) {
  if (e instanceof Error) return e.message;
  const { statusCode, data } = e ?? {};
  return `the client was refused: ${statusCode} ${JSON.stringify(data)}`;
}

export function equal(got, want, what) {
  const [g, w] = [JSON.stringify(got), JSON.stringify(want)];
  if (g !== w) throw new Error(`${what}: got ${g}, want ${w}`);
}

export function that(holds, what) {
  if (!holds) throw new Error(what);
}

// refused wants a request to be refused with this status, in words that the client
// can read. With pointers, the answer names these members.
export async function refused(request, status, ...pointers) {
  const e = await request.then(
    (r) => { throw new Error(`got ${r.statusCode}, want ${status}`); },
    (e) => { if (e instanceof Error) throw e; return e; },
  );
  equal(e.statusCode, status, 'the status');
  equal(e.headers['content-type'], 'application/json', 'the type of a refusal');
  that(e.data !== null && typeof e.data === 'object', `the client does not read the refusal as JSON: ${e.data}`);
  equal([e.data.statusCode, e.data.errorCode], [status, status], 'statusCode and errorCode');
  that(typeof e.data.message === 'string' && e.data.message !== '', 'a refusal without a message');
  const named = (e.data.errors ?? []).map((x) => x.pointer);
  for (const p of pointers) that(named.includes(p), `the refusal does not name ${p}, but ${named}`);
  return e;
}
