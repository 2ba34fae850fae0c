// Package users is the server side of one operation done completely: creating a
// user of an application. It validates, authorises, hashes, stores and notifies;
// the host brings its database, its transaction, its router, its authentication
// and its mail.
//
// # Applications
//
// A [Service] serves any number of applications (tenants). Each is named by its
// apiKey, and its users, roles and keys are its own:
//
//	svc, err := users.New(memstore.New(), nil)
//	app, err := svc.CreateApplication(ctx, users.Application{APIKey: "acme"})
//
// The apiKey authenticates nobody. Who asks is a [Caller], which the host puts
// into the context with [WithCaller]; what it may do are its permissions, and
// [AssignRoles] reaches as far as Caller.Grant. A context without a Caller is
// the host itself and may do everything, unless Options.RequireCaller is set.
//
// # Creating a user
//
//	u, err := svc.Create(ctx, "acme", users.CreateUserParams{
//		UserName:        "alice",
//		Email:           "alice@example.com",
//		Password:        password.New(form.Password),
//		ConfirmPassword: password.New(form.Confirm),
//	})
//
// [Service.Create] finds the application, asks whether the caller may, runs
// Options.BeforeCreate, judges every member at once, hashes the password when
// its turn has come, and hands user, credential, roles, idempotency record and
// notification to the store in one transaction. When it returns nil all of that
// is durable. A repeat with the same IdempotencyKey gives the same user.
//
// User names are compared as PRECIS UsernameCaseMapped (RFC 8265 section 3.3),
// addresses after PRECIS and IDNA (RFC 5891): "Alice" and "ＡＬＩＣＥ" are one name.
// Both keep the spelling in which they were given.
//
// Members that give power (roles, isApproved, allowDashboardAccess, a chosen id
// and the like) need a permission, and never bind from JSON.
//
// # Plugging in a store
//
// A [Store] keeps what it is given, all or nothing, and reports collisions; it
// holds no policy. Package memstore keeps it in memory, for tests and demos;
// package sqlstore in PostgreSQL, MySQL, MariaDB or SQLite. The contract for a
// store of your own is the comment of Store, and package storetest proves it.
//
// To create a user inside a transaction of your own, hash first, so that no
// connection is held meanwhile, and give the Service a store on that transaction:
//
//	p, err = svc.PreHash(ctx, "acme", p)
//	…begin…
//	u, err := svc.WithStore(store.WithTx(tx)).Create(ctx, "acme", p)
//	…commit…
//
// # Notifications
//
// Create sends nothing. It writes a row that a relay (package outbox) hands to a
// [Notifier], at least once and never for a user that was not committed. A user
// made with AutoCreatePassword has no password: the relay makes a one-time token
// when it sends the message, and [Service.SetPassword] takes it. Tokens are
// stored as hashes, passwords as argon2id; the library prints neither.
//
// # Errors
//
// Each class of failure has a sentinel for errors.Is, and those with detail a
// struct for errors.As:
//
//   - [*ValidationError]: every invalid member, with a JSON pointer, a stable code and a sentence.
//   - [*ConflictError]: every member that is taken.
//   - [*ForbiddenError]: every privileged member that the caller may not set, or none where the operation is refused.
//   - [ErrUnauthenticated], [ErrUnknownApplication], [ErrNotFound], [ErrIdempotencyMismatch].
//   - [ErrOverloaded], with a *password.OverloadedError that says when to try again, and [ErrUnavailable].
//
// After the classes that say so nothing was written. Any other error is the
// host's own, from a hook, a store or the context, and is passed on wrapped.
package users
