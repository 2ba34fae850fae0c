// The checks, all through the published client: the same in Node and in a page.
import { equal, refused, that } from './report.mjs';

const password = 'violet harbour 47 crumpets';
const another = 'marble kettle 7 orchards';
const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const shortID = /^[0-9A-Za-z]{22,26}$/; // 16 bytes in base 62
const nobody = '0000000000000000000001'; // the id of no user and no role
const address = (name) => `${name}@example.com`;

// newUser is a body with what a user must have.
const newUser = (name, more) => ({
  userName: name, email: address(name), password, confirmPassword: password, ...more,
});
const without = (user, member) => {
  const rest = { ...user };
  delete rest[member];
  return rest;
};
const names = (roles) => roles.map((r) => r.name).sort();
const total = async (app) => (await app.membershipModule.user.find()).data.totalRecords;

// run makes every check. as(token) is a client with that token, target what it was made for.
export async function run(as, target, report) {
  const app = as(target.token);
  const links = linksOf(target.hal);
  try {
    await roles(app, links, report);
    await creation(app, as, target, links, report);
    await reading(app, links, report);
    await listing(app, links, report);
    await changing(app, links, report);
    await status(app, links, report);
    await passwords(app, as, report);
    await deleting(app, report);
    await strangers(app, as, target, report);
  } catch (e) { // between two checks
    await report.check('the checks come to their end', () => { throw e; });
  }
  return report.end();
}

// linksOf returns how a resource's links are found in a form.
function linksOf(hal) {
  const of = (resource, rel) => (hal ? resource.links(rel) : resource.links.find((l) => l.rel === rel));
  return {
    hal,
    // href is where a link leads to: one that is a template, without its variables.
    href(resource, rel) {
      const href = of(resource, rel)?.href;
      that(typeof href === 'string', `no link ${rel}`);
      return href.replace(/\{[^}]*\}/g, '');
    },
  };
}

async function roles(app, links, { check }) {
  const { role, user } = app.membershipModule;
  for (const name of ['Editor', 'Viewer', 'Auditor']) {
    await check(`role.create: ${name}`, async () => {
      const r = await role.create({ name, description: `${name}s` });
      equal([r.statusCode, r.data.name, r.data.description], [201, name, `${name}s`], 'the new role');
      that(shortID.test(r.data.id), `the id ${r.data.id}`);
    });
  }
  await check('role.create: a taken name', () => refused(role.create({ name: 'Editor' }), 409, '/name'));
  await check('role.create: no name', () => refused(role.create({ description: 'x' }), 400, '/name'));

  let all = [];
  await check('role.find: all', async () => {
    const list = (await role.find()).data;
    all = list.item;
    equal([names(all), list.totalRecords, list.page], [['Auditor', 'Editor', 'Viewer'], 3, 1], 'the roles');
  });
  await check('role.find: a phrase', async () => {
    equal(names((await role.find('DITO')).data.item), ['Auditor', 'Editor'], 'the roles');
  });
  await check('role.find: in order, a page', async () => {
    const list = (await role.find({ orderBy: 'name', orderDirection: 'desc', pageNumber: 2, pageSize: 2 })).data;
    equal([list.item.map((r) => r.name), list.totalRecords, list.recordsPerPage], [['Auditor'], 3, 2], 'the page');
  });
  await check('role.get', async () => {
    const r = (await role.get(all[0].id)).data;
    equal([r.id, r.name], [all[0].id, all[0].name], 'the role');
  });
  await check('role.get: of nobody', () => refused(role.get(nobody), 404));
  await check("role: its link 'self'", async () => {
    equal((await app.apiClient.get(links.href(all[0], 'self'))).data.id, all[0].id, 'what self leads to');
  });
  await check('role: the same without lookups', async () => {
    equal((await app.apiClient.get('roles')).data.totalRecords, 3, 'roles');
    equal((await app.apiClient.get(`roles/${all[0].id}/`)).data.id, all[0].id, 'roles/{id}');
  });

  await check('role.update: what was created', async () => {
    const r = (await role.create({ name: 'Temporary' })).data;
    r.description = 'for a while';
    equal((await role.update(r)).statusCode, 204, 'the status');
    const now = (await role.get(r.id)).data;
    equal([now.name, now.description], ['Temporary', 'for a while'], 'the role');
  });
  await check('role.update: what was listed', async () => {
    const r = (await role.find('Temporary')).data.item[0];
    r.name = 'Interim';
    equal((await role.update(r)).statusCode, 204, 'the status');
    equal((await role.get(r.id)).data.name, 'Interim', 'the name');
  });
  await check('role.update: a taken name', async () => {
    const r = (await role.find('Interim')).data.item[0];
    r.name = 'Editor';
    await refused(role.update(r), 409, '/name');
  });
  await check('role.update: of nobody', () => refused(role.update({ id: nobody, name: 'X' }), 404));
  await check('role.remove: from all who have it', async () => {
    const r = (await role.find('Interim')).data.item[0];
    await user.create(newUser('temp', { roles: ['Interim', 'Viewer'] }));
    equal((await role.remove(r)).statusCode, 204, 'the status');
    equal(names((await user.get('temp')).data.roles), ['Viewer'], 'the roles that are left');
    await refused(role.get(r.id), 404);
    await refused(role.remove({ id: r.id }), 404);
    await user.remove({ id: 'temp' });
  });
}

async function creation(app, as, target, links, { check }) {
  const { user } = app.membershipModule;
  await check('create: every member', async () => {
    const full = newUser('anna', {
      name: 'Anna K', roles: ['Editor', 'Viewer'], isApproved: false, isLockedOut: true, creationDate: '2001-02-03T04:05:06Z',
      allowDashboardAccess: true, dashboardSettings: { dark: true }, dateCreated: '0001-01-01T00:00:00',
      dateUpdated: null, id: null, autoCreatePassword: false, sendEmailNotification: false, embed: ['roles'], more: 'unknown',
    });
    const r = await user.create(full);
    equal(r.statusCode, 201, 'the status');
    const u = r.data;
    equal([u.userName, u.email, u.displayName, u.name, u.isApproved, u.isLockedOut],
      ['anna', address('anna'), 'Anna K', 'anna', false, true], 'the user');
    equal(new Date(u.creationDate).toISOString(), '2001-02-03T04:05:06.000Z', 'creationDate');
    equal([names(u.roles), u.embed], [['Editor', 'Viewer'], ['roles']], 'its roles');
    that(u.roles.every((x) => x.dateCreated), 'roles that are embedded are shown in full');
    for (const secret of ['password', 'confirmPassword', 'allowDashboardAccess', 'dashboardSettings', 'more']) {
      that(!(secret in u), `the answer shows ${secret}`);
    }
  });
  await check('create: what Location names', async () => {
    const r = await user.create(newUser('bert'));
    const there = r.headers.location;
    that(there, 'no Location that the client can read');
    const u = (await app.apiClient.get(new URL(there, `http://${target.host}`).href)).data;
    equal([u.id, u.userName], [r.data.id, 'bert'], 'the user');
  });
  await check('create: an id of 16 bytes, which the .NET client holds', async () => {
    const { id } = (await user.get('anna')).data;
    const values = [...id].map((digit) => digits.indexOf(digit));
    const last = values.pop();
    // Six bits a digit, but five for y and z; the last digit is what is left.
    const left = 128 - values.reduce((bits, value) => bits + (value < 60 ? 6 : 5), 0);
    that(left > 0 && last >= 0 && last < (left < 6 ? 2 ** left : 60), `the id ${id}`);
  });
  await check("create: the .NET client's body", async () => {
    const r = await user.create({
      ...newUser('dora'), id: '0000000000000000000000', name: null, roles: null, embed: null, creationDate: '0001-01-01T00:00:00',
      dateCreated: '0001-01-01T00:00:00', dateUpdated: '0001-01-01T00:00:00', isApproved: true, isLockedOut: false,
    });
    equal([r.statusCode, r.data.userName, r.data.isApproved, r.data.roles], [201, 'dora', true, []], 'the user');
  });
  await check('create: the member username, of the documentation', async () => {
    const r = await user.create({ ...without(newUser('emil'), 'userName'), username: 'emil' });
    equal([r.statusCode, r.data.userName], [201, 'emil'], 'the user');
  });
  await check('create: roles by object', async () => {
    const editor = (await app.membershipModule.role.find('Editor')).data.item[0];
    const r = await user.create(newUser('fred', { roles: [{ name: 'Viewer' }, { id: editor.id, name: 'Editor' }] }));
    equal(names(r.data.roles), ['Editor', 'Viewer'], 'the roles');
  });
  await check('create: an address as the name', async () => {
    const r = await user.create({ ...newUser('gail'), userName: address('gail') });
    equal([r.statusCode, r.data.userName], [201, address('gail')], 'the user');
  });
  await check('create: a password made by the server', async () => {
    const r = await user.create({ userName: 'hugo', email: address('hugo'), autoCreatePassword: true });
    equal(r.statusCode, 201, 'the status');
  });

  const before = await total(app);
  await check('create: both keys taken', () => refused(user.create(newUser('anna')), 409, '/userName', '/email'));
  await check('create: the name taken, in another case', () => refused(user.create({ ...newUser('xaver'), userName: 'ANNA' }), 409, '/userName'));
  for (const member of ['userName', 'email', 'password', 'confirmPassword']) {
    await check(`create: without ${member}`, () => refused(user.create(without(newUser('ivan'), member)), 400, `/${member}`));
  }
  await check('create: another confirmPassword', () => refused(user.create(newUser('ivan', { confirmPassword: another })), 400, '/confirmPassword'));
  await check('create: an empty userName', () => refused(user.create(newUser('ivan', { userName: '' })), 400, '/userName'));
  await check('create: a weak password', () => refused(user.create(newUser('ivan', { password: 'short', confirmPassword: 'short' })), 400, '/password'));
  await check('create: a malformed address', () => refused(user.create(newUser('ivan', { email: 'ivan' })), 400, '/email'));
  await check('create: an unknown role', () => refused(user.create(newUser('ivan', { roles: ['Nobody'] })), 400, '/roles/0'));
  await check('create: a name of the wrong type', () => refused(user.create(newUser('ivan', { userName: { x: 1 } })), 400, '/userName'));
  await check('create: a number', () => refused(user.create(5), 400));
  await check('create: an array', () => refused(user.create([newUser('ivan')]), 400));
  await check('create: text that is no JSON', () => refused(app.apiClient.post('users', 'x', { 'Content-Type': 'text/plain' }), 415));

  await check('create: with no token', async () => {
    const e = await refused(as().membershipModule.user.create(newUser('ivan')), 401);
    that(/^Bearer/i.test(e.headers['www-authenticate']), 'no challenge that the client can read');
  });
  for (const [what, other] of [['a bad token', as('wrong')], ['an unknown application', as('wrong', 'nobody')]]) {
    await check(`create: ${what}, which the client then drops`, async () => {
      const e = await refused(other.membershipModule.user.create(newUser('ivan')), 401);
      equal(e.data.details, 'invalid_token', 'details');
      that(!other.getAccessToken(), 'the client keeps its token');
    });
  }
  await check('create: a token that may not give roles', () => refused(as(target.limited).membershipModule.user.create(newUser('ivan', { roles: ['Editor'] })), 403));
  await check('create: nothing is written on a refusal', async () => {
    equal(await total(app), before, 'the users');
    await refused(user.get('ivan'), 404);
  });

  await check('create: a token that may do just that', async () => {
    const limited = as(target.limited).membershipModule.user;
    const { id } = (await limited.create(newUser('jack'))).data;
    equal((await limited.get(id)).data.userName, 'jack', 'what it created');
    await refused(limited.get('anna'), 403);
    await refused(limited.find(), 403);
  });
  for (const scheme of ['Bearer', 'bearer', 'BEARER', 'bEaReR']) {
    await check(`create: the scheme ${scheme}`, async () => {
      const r = await as().apiClient.get('users/anna', { Authorization: `${scheme} ${target.token}` });
      equal(r.statusCode, 200, 'the status');
    });
  }
  await check('create: of eight at once one wins', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => user.create(newUser('kate')).then((r) => r.statusCode, (e) => e.statusCode)));
    equal(all.sort(), [201, ...Array(7).fill(409)], 'the statuses');
  });

  for (const rel of ['self', 'put', 'delete', 'lock', 'unlock', 'approve', 'disapprove', 'roles']) {
    await check(`create: the link ${rel}`, async () => {
      const u = (await user.create(newUser(`link-${rel}`))).data;
      const href = links.href(u, rel);
      const method = { self: 'get', roles: 'get', delete: 'delete' }[rel] ?? 'put';
      const r = await app.apiClient[method](href, method === 'put' ? {} : undefined);
      that([200, 204].includes(r.statusCode), `${method} ${href}: ${r.statusCode}`);
      if (rel === 'self') equal(r.data.id, u.id, 'the user');
      if (rel === 'delete') await refused(user.get(u.id), 404);
      else await user.remove({ id: u.id });
    });
  }
}

async function reading(app, links, { check }) {
  const { user } = app.membershipModule;
  let anna;
  await check('get: by name', async () => {
    anna = (await user.get('anna')).data;
    equal([anna.userName, anna.email, anna.displayName], ['anna', address('anna'), 'Anna K'], 'the user');
  });
  await check('get: by id', async () => equal((await user.get(anna.id)).data.userName, 'anna', 'the user'));
  await check('get: by address', async () => equal((await user.get(address('anna'))).data.id, anna.id, 'the user'));
  await check('get: a name that is an address', async () => equal((await user.get(address('gail'))).data.userName, address('gail'), 'the user'));
  await check('get: a name in another case', async () => equal((await user.get('ANNA')).data.id, anna.id, 'the user'));
  await check('get: roles by id and name', async () => that(anna.roles.every((r) => r.id && r.name), JSON.stringify(anna.roles)));
  await check('get: embed', async () => {
    const u = (await user.get('anna', { embed: 'roles' })).data;
    equal([names(u.roles), u.embed], [['Editor', 'Viewer'], ['roles']], 'the roles');
    that(u.roles.every((r) => r.dateCreated), 'roles in full');
    const role = u.roles[0];
    equal((await app.apiClient.get(links.href(role, 'self'))).data.name, role.name, "an embedded role's self");
  });
  await check('get: fields', async () => {
    const u = (await user.get('anna', { fields: 'userName,email' })).data;
    equal([u.id, u.userName, u.email, u.isApproved, u.displayName], [anna.id, 'anna', address('anna'), undefined, undefined], 'the user');
    that(links.href(u, 'self'), 'a link');
  });
  await check('get: with and without a slash at the end', async () => {
    for (const path of ['users/anna', 'users/anna/']) equal((await app.apiClient.get(path)).data.id, anna.id, path);
  });
  await check('get: of nobody, by name', () => refused(user.get('nobody'), 404));
  await check('get: of nobody, by id', () => refused(user.get(nobody), 404));
  await check('exists', async () => equal((await user.exists('anna')).statusCode, 204, 'the status'));
  await check('exists: a name that is an address', async () => equal((await user.exists(address('gail'))).statusCode, 204, 'the status'));
  await check('exists: of nobody', () => refused(user.exists('nobody'), 404));
}

async function listing(app, links, { check }) {
  const { user, role } = app.membershipModule;
  const found = async (query) => (await user.find(query)).data.item.map((u) => u.userName);
  const editor = (await role.find('Editor')).data.item[0];
  const ids = [];
  // Of nobody else: the phrase that tells these apart from the others.
  for (const [name, more] of [['find-c', { roles: ['Editor'] }], ['find-a', { roles: ['Auditor'], isApproved: false }], ['find-b', { isLockedOut: true, name: 'Zoe' }]]) {
    await check(`find: ${name} is made`, async () => ids.push((await user.create(newUser(name, more))).data.id));
  }
  const forms = [
    ['a phrase alone', 'find-', ['find-a', 'find-b', 'find-c'], true],
    ['search', { search: 'FIND-B' }, ['find-b']],
    ['searchQuery, of a display name', { searchQuery: 'zoe' }, ['find-b']],
    ['a phrase that nobody has', { search: 'f%nd_' }, []],
    ['orderBy', { search: 'find-', orderBy: 'userName', orderDirection: 'desc' }, ['find-c', 'find-b', 'find-a']],
    ['orderBy two members', { search: 'find-', orderBy: 'isLockedOut,userName', orderDirection: 'asc,desc' }, ['find-c', 'find-a', 'find-b']],
    ['sort, the other spelling', { search: 'find-', sort: '-email' }, ['find-c', 'find-b', 'find-a']],
    ['pageNumber and pageSize', { search: 'find-', sort: 'userName', pageNumber: 2, pageSize: 2 }, ['find-c']],
    ['page and rpp', { search: 'find-', sort: 'userName|asc', page: 1, rpp: 1 }, ['find-a']],
    ['a page behind the last', { search: 'find-', sort: 'userName', page: 9 }, []],
    ['roleNames, a text', { search: 'find-', sort: 'userName', roleNames: 'Editor,Auditor' }, ['find-a', 'find-c']],
    ['roleNames, an array', { search: 'find-', sort: 'userName', roleNames: ['Auditor'] }, ['find-a']],
    ['a role that nobody has', { roleNames: 'Nobody' }, []],
    ['roleIds', { search: 'find-', roleIds: [editor.id] }, ['find-c']],
    ['userIds', { sort: 'userName', userIds: [ids[0], ids[2]] }, ['find-b', 'find-c']],
    ['isApproved', { search: 'find-', isApproved: false }, ['find-a']],
    ['isLocked', { search: 'find-', isLocked: true }, ['find-b']],
    ['all at once', { search: 'find-', userIds: ids.join(','), roleNames: 'Auditor', isApproved: false, isLocked: false, page: 1, rpp: 5, sort: 'email|desc', embed: 'roles', fields: 'userName,roles' }, ['find-a']],
  ];
  for (const [form, query, want, anyOrder] of forms) {
    await check(`find: ${form}`, async () => {
      const got = await found(query);
      equal(anyOrder ? got.sort() : got, want, 'the users');
    });
  }
  await check('find: nothing asked for', async () => {
    const list = (await user.find()).data;
    equal([list.page, list.recordsPerPage, list.item.length], [1, 10, 10], 'the page');
    that(list.totalRecords > 10, `${list.totalRecords} users`);
  });
  await check('find: what was asked for is said', async () => {
    const list = (await user.find({ search: 'find-', sort: 'userName|desc', page: 2, rpp: 1, embed: 'roles' })).data;
    equal([list.page, list.recordsPerPage, list.totalRecords, list.searchQuery, list.embed], [2, 1, 3, 'find-', 'roles'], 'the list');
    that(list.sort, 'sort');
  });
  await check('find: embed', async () => {
    const u = (await user.find({ search: 'find-c', embed: 'roles' })).data.item[0];
    that(u.roles[0].dateCreated, 'roles in full');
  });
  await check('find: fields', async () => {
    const u = (await user.find({ search: 'find-c', fields: 'email' })).data.item[0];
    equal([u.id, u.email, u.userName], [ids[0], address('find-c'), undefined], 'the user');
  });
  await check('find: the links to the pages around it', async () => {
    const list = (await user.find({ search: 'find-', sort: 'userName', page: 2, rpp: 1 })).data;
    for (const [rel, want] of [['self', 'find-b'], ['next', 'find-c'], ['previous', 'find-a']]) {
      equal((await app.apiClient.get(links.href(list, rel))).data.item[0].userName, want, rel);
    }
  });
  await check('find: the links of those that are listed', async () => {
    for (const u of (await user.find('find-')).data.item) {
      equal((await app.apiClient.get(links.href(u, 'self'))).data.id, u.id, 'what self leads to');
    }
  });
  await check('find: with and without a slash at the end', async () => {
    for (const path of ['users', 'users/']) equal((await app.apiClient.get(path)).data.page, 1, path);
  });
  await check('find: an unknown member to sort by', () => refused(user.find({ sort: 'shoeSize' }), 400, '/sort'));
  await check('find: too large a page', () => refused(user.find({ rpp: 5000 }), 400, '/rpp'));
}

async function changing(app, links, { check }) {
  const { user } = app.membershipModule;
  // state is what an update must not lose.
  const state = async (ref) => {
    const u = (await user.get(ref)).data;
    return [u.userName, u.email, u.displayName, names(u.roles), u.isApproved, u.isLockedOut];
  };
  let id;
  await check('update: somebody is made', async () => {
    id = (await user.create(newUser('upd', { name: 'Uma P', roles: ['Editor', 'Viewer'] }))).data.id;
  });
  for (const [how, fetched] of [
    ['fetched', () => user.get('upd')],
    ['fetched with its roles', () => user.get('upd', { embed: 'roles' })],
    ['listed', async () => ({ data: (await user.find({ userIds: id })).data.item[0] })],
    ['listed with its roles', async () => ({ data: (await user.find({ userIds: [id], embed: 'roles' })).data.item[0] })],
  ]) {
    await check(`update: a user that was ${how} keeps the rest`, async () => {
      const u = (await fetched()).data;
      u.email = address(`upd-${how.replaceAll(' ', '-')}`);
      equal((await user.update(u)).statusCode, 204, 'the status');
      equal(await state(id), ['upd', u.email, 'Uma P', ['Editor', 'Viewer'], true, false], 'the user');
    });
    await check(`update: a user that was ${how} gets other roles`, async () => {
      const u = (await fetched()).data;
      u.roles = ['Auditor'];
      equal((await user.update(u)).statusCode, 204, 'the status');
      equal((await state(id))[3], ['Auditor'], 'the roles');
      await user.update({ id, roles: ['Editor', { name: 'Viewer' }] });
      equal((await state(id))[3], ['Editor', 'Viewer'], 'the roles');
    });
  }
  await check('update: the same again changes nothing', async () => {
    const u = (await user.get('upd')).data;
    equal((await user.update(u)).statusCode, 204, 'the status');
    equal((await user.get('upd')).data.dateUpdated, u.dateUpdated, 'dateUpdated');
  });
  await check('update: displayName', async () => {
    const u = (await user.get('upd')).data;
    u.displayName = 'Uma Q';
    await user.update(u);
    equal((await state(id))[2], 'Uma Q', 'displayName');
  });
  await check('update: name, as a display name', async () => {
    await user.update({ id, name: 'Uma R' });
    equal((await state(id))[2], 'Uma R', 'displayName');
  });
  await check("update: the .NET client's body", async () => {
    const before = await state(id);
    const u = (await user.get(id)).data;
    await user.update({ id, userName: u.userName, name: u.userName, email: u.email, roles: null, isApproved: true, isLockedOut: false, creationDate: u.creationDate, dateUpdated: '0001-01-01T00:00:00', embed: null });
    equal(await state(id), before, 'the user');
  });
  await check('update: by the name', async () => {
    equal((await user.update({ id: 'upd', email: address('upd') })).statusCode, 204, 'the status');
    equal((await state(id))[1], address('upd'), 'email');
  });
  await check('update: no roles', async () => {
    await user.update({ id, roles: [] });
    equal((await state(id))[3], [], 'the roles');
  });
  await check('update: another name', async () => {
    const u = (await user.get(id)).data;
    u.userName = 'upd2';
    await user.update(u);
    equal((await state(id)).slice(0, 3), ['upd2', address('upd'), 'Uma R'], 'the user');
    equal((await user.get(id)).data.name, 'upd2', 'name');
  });
  await check('update: a user whose name is its address', async () => {
    const u = (await user.get(address('gail'))).data;
    u.userName = u.email = address('gail2');
    equal((await user.update(u)).statusCode, 204, 'the status');
    equal((await user.exists(address('gail2'))).statusCode, 204, 'the new name');
    await refused(user.exists(address('gail')), 404);
  });
  await check('update: of nobody', () => refused(user.update({ id: nobody, email: address('x') }), 404));
  await check('update: a taken address', () => refused(user.update({ id, email: address('anna') }), 409, '/email'));
  await check('update: a malformed address', () => refused(user.update({ id, email: 'x' }), 400, '/email'));
  await check('update: an unknown role', () => refused(user.update({ id, roles: ['Nobody'] }), 400, '/roles/0'));
}

async function status(app, links, { check }) {
  const { user } = app.membershipModule;
  let id;
  await check('status: somebody is made', async () => { id = (await user.create(newUser('stat', { roles: ['Editor'] }))).data.id; });
  const changes = [['lock', 'isLockedOut', true], ['unlock', 'isLockedOut', false], ['disapprove', 'isApproved', false], ['approve', 'isApproved', true]];
  const wants = async (member, value) => {
    const u = (await user.get(id)).data;
    equal([u[member], names(u.roles)], [value, ['Editor']], `${member} and the roles`);
  };
  for (const [how, ask] of [
    ['a user that was fetched', async (verb) => user[verb]((await user.get(id)).data)],
    ['a user that was listed', async (verb) => user[verb]((await user.find({ userIds: id, embed: 'roles' })).data.item[0])],
    ['an id', (verb) => user[verb]({ id })],
    ['a link', async (verb) => app.apiClient.put(links.href((await user.get(id)).data, verb), {})],
    ['a name, without a body', (verb) => app.apiClient.put(`users/stat/${verb}`)],
  ]) {
    for (const [verb, member, value] of changes) {
      await check(`${verb}: ${how}`, async () => {
        equal((await ask(verb)).statusCode, 204, 'the status');
        await wants(member, value);
      });
    }
  }
  for (const [verb, member, value] of changes) {
    await check(`${verb}: twice`, async () => {
      await user[verb]({ id });
      equal((await user[verb]({ id })).statusCode, 204, 'the status');
      await wants(member, value);
    });
    await check(`${verb}: of nobody`, () => refused(user[verb]({ id: nobody }), 404));
  }
}

async function passwords(app, as, { check }) {
  const { user } = app.membershipModule;
  await check('change-password: somebody is made', () => user.create(newUser('pass')));
  await check('login: by the name', async () => {
    const own = as();
    const r = await own.membershipModule.login.login({ username: 'pass', password, options: ['session', 'sliding'] });
    equal([r.statusCode, own.getAccessToken().token], [201, r.data.access_token], 'the token that the client keeps');
    that(r.data.token_type && r.data.expires_in > 0, JSON.stringify(r.data));
  });
  for (const [member, name] of [['sendMailNotification', 'pass'], ['sendEmailNotification', address('pass')]]) {
    await check(`change-password: of ${name}`, async () => {
      const r = await user.changePassword(name, { newPassword: another, [member]: false });
      equal([r.statusCode, r.data], [200, true], 'the answer');
    });
  }
  await check('change-password: a name that is an address', async () => {
    equal((await user.changePassword(address('gail2'), { newPassword: another })).statusCode, 200, 'the status');
  });
  await check('login: by the address and the new password, with a token that has ended', async () => {
    const own = as('wrong');
    equal((await own.membershipModule.login.login({ username: address('pass'), password: another })).statusCode, 201, 'the status');
    that(own.getAccessToken().token !== 'wrong', 'the client keeps its token');
  });
  for (const [what, username, word] of [['the old password', 'pass', password], ['nobody', 'nobody', another]]) {
    await check(`login: ${what}`, async () => {
      const own = as();
      const e = await refused(own.membershipModule.login.login({ username, password: word }), 400);
      equal(e.data.error, 'invalid_grant', 'error');
      that(!own.getAccessToken(), 'the client keeps a token');
    });
  }
  await check('login: who is locked out', async () => {
    await user.lock({ id: 'pass' });
    const e = await refused(as().membershipModule.login.login({ username: 'pass', password: another }), 400);
    equal(e.data.error, 'invalid_grant', 'error');
    await user.unlock({ id: 'pass' });
  });
  await check('change-password: a weak one', () => refused(user.changePassword('pass', { newPassword: 'short' }), 400, '/newPassword'));
  await check('change-password: none', () => refused(user.changePassword('pass', {}), 400, '/newPassword'));
  await check('change-password: of nobody', () => refused(user.changePassword('nobody', { newPassword: another }), 404));
}

async function deleting(app, { check }) {
  const { user } = app.membershipModule;
  for (const [how, fetched] of [
    ['fetched', () => user.get('leaver')],
    ['listed', async () => ({ data: (await user.find('leaver')).data.item[0] })],
    ['known by its id', async () => ({ data: { id: (await user.get('leaver')).data.id } })],
    ['known by its name', () => ({ data: { id: 'leaver' } })],
  ]) {
    await check(`remove: a user that was ${how}`, async () => {
      const { id } = (await user.create(newUser('leaver', { roles: ['Viewer'] }))).data;
      const u = (await fetched()).data;
      const r = await user.remove(u);
      equal(r.statusCode, 204, 'the status');
      that(!r.data, `a body: ${r.data}`);
      await refused(user.get(id), 404);
      await refused(user.get('leaver'), 404);
      await refused(user.exists('leaver'), 404);
      equal((await user.find('leaver')).data.totalRecords, 0, 'those that are found');
      await refused(user.remove({ id }), 404);
    });
  }
  await check('remove: name and address are free again', async () => {
    equal((await user.create(newUser('leaver'))).statusCode, 201, 'the status');
  });
}

// strangers checks what is answered without a token, with one that may only create
// users, and at paths where there is nothing.
async function strangers(app, as, target, { check }) {
  const { id } = (await app.membershipModule.user.get('anna')).data;
  const role = (await app.membershipModule.role.find('Editor')).data.item[0].id;
  const requests = {
    'user.find': ({ user }) => user.find(),
    'user.get': ({ user }) => user.get('anna'),
    'user.exists': ({ user }) => user.exists('anna'),
    'user.update': ({ user }) => user.update({ id, email: address('x') }),
    'user.remove': ({ user }) => user.remove({ id }),
    'user.lock': ({ user }) => user.lock({ id }),
    'user.unlock': ({ user }) => user.unlock({ id }),
    'user.approve': ({ user }) => user.approve({ id }),
    'user.disapprove': ({ user }) => user.disapprove({ id }),
    'user.changePassword': ({ user }) => user.changePassword('anna', { newPassword: another }),
    'role.find': (m) => m.role.find(),
    'role.get': (m) => m.role.get(role),
    'role.create': (m) => m.role.create({ name: 'X' }),
    'role.update': (m) => m.role.update({ id: role, name: 'X' }),
    'role.remove': (m) => m.role.remove({ id: role }),
  };
  for (const [name, ask] of Object.entries(requests)) {
    await check(`without a token: ${name}`, () => refused(ask(as().membershipModule), 401));
    await check(`without the right: ${name}`, () => refused(ask(as(target.limited).membershipModule), 403));
  }
  await check('no such path', () => refused(app.apiClient.get('shoes'), 404));
  await check('no such method', () => refused(app.apiClient.put('users', {}), 405));
  await check('nobody was changed by those who may not', async () => {
    const u = (await app.membershipModule.user.get('anna')).data;
    equal([u.email, u.isApproved, u.isLockedOut, names(u.roles)], [address('anna'), false, true, ['Editor', 'Viewer']], 'the user');
  });
}
