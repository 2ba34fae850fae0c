// connect makes the published client for an application, as its programs do. target
// says where the server is and which form is asked for; options are the client's own.
export function connect(sdk, target, token, options) {
  const app = new sdk.BaasicApp(target.apiKey, {
    useSSL: false,
    apiRootUrl: target.host,
    apiVersion: target.version,
    enableHALJSON: target.hal,
    ...options,
  });
  if (token) app.updateAccessToken({ token });
  return app;
}

// memory keeps the token for one client alone; the client's own storage is the
// browser's and is shared by all of a page.
export function memory() {
  const kept = new Map();
  return {
    set: (key, value) => kept.set(key, value),
    get: (key) => kept.get(key),
    remove: (key) => kept.delete(key),
    clear: () => kept.clear(),
  };
}

// silence is an event handler for where there are no events.
export function silence() {
  return { triggerEvent() {}, addEvent() {}, pushMessage() {} };
}

// fetching is an adapter that sends by fetch. As those of the client's family do, it
// takes a body for JSON by these two types alone: of problem details it makes a text.
export function fetching(credentials) {
  return {
    createPromise: (run) => new Promise(run),
    request: async (request) => {
      const type = request.headers?.['Content-Type'] ?? '';
      const json = type.includes('application/json');
      const answer = { request, headers: {}, statusCode: 0, statusText: '', data: null };
      let response;
      try {
        response = await fetch(request.url, {
          method: request.method,
          headers: request.headers,
          body: request.data && json ? JSON.stringify(request.data) : request.data,
          credentials,
        });
      } catch (e) {
        answer.statusText = String(e);
        throw answer; // as the client's adapters do: no Error
      }
      answer.headers = Object.fromEntries(response.headers);
      answer.statusCode = response.status;
      const got = response.headers.get('content-type') ?? '';
      const body = await response.text();
      if (body !== '') answer.data = /^application\/(hal\+)?json/.test(got) ? JSON.parse(body) : body;
      if (!response.ok) throw answer;
      return answer;
    },
  };
}
