// Package users creates and keeps the users of multi-tenant applications. It
// validates, authorizes, hashes, stores and notifies; it finds, changes and deletes
// users and checks their passwords. The program that imports it is called the host
// here: it brings its database, its transaction, its router, its sessions and its mail.
//
// # Applications
//
// A [Service] serves any number of applications (tenants). Each is named by its
// apiKey, and its users, roles and keys are its own:
//
//	svc, err := users.New(memstore.New(), nil)
//	…
//	_, err = svc.CreateApplication(ctx, users.Application{APIKey: "acme"})
//
// The apiKey is the name of the application in URLs and logs, not a credential: it
// authenticates nobody. A [Caller] identifies who makes a request; the host puts it
// into the context with [WithCaller], and it may do what its [Permissions] say. A
// call without a Caller is the host's own and has every permission, unless
// Options.RequireCaller is set.
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
// [Service.Create] finds the application, authorizes the caller, runs
// Options.BeforeCreate, checks every member at once, and hashes the password once
// the [password.Gate] admits it, which bounds how many are hashed at a time. Then
// it hands user, credential, roles, idempotency record and notification to the
// store in one transaction. When it returns nil all of that is durable. A repeat
// with the same IdempotencyKey returns the same user.
//
// User names are compared as PRECIS UsernameCaseMapped (RFC 8265 section 3.3),
// addresses after PRECIS and IDNA (RFC 5891): "Alice" and "ＡＬＩＣＥ" are one name.
// Both keep the spelling in which they were given.
//
// Privileged members (roles, isApproved, allowDashboardAccess, a chosen id and
// the like) need a permission, and never bind from JSON.
//
// # Finding, changing and deleting users
//
// Everywhere a user is named by its id, its user name or its e-mail address.
// [Service.FindUsers] searches and pages, [Service.EachUser] reads all.
// [Service.UpdateUser] merges: nil members stay, and a member that is given as it is
// asks for nothing. Each change adds one to User.Version, and a change, a deletion or a
// new password can be made conditional on it: [ErrStale].
//
// Beside its permission a caller must govern the user that it changes, locks or
// deletes or whose password it sets: it must be able to give every role that the user
// has, and the access to the dashboard. See [Service.UpdateUser].
//
// # Signing in
//
// [Service.Authenticate] returns the user whose name and password these are. Sessions
// are the host's: it remembers User.PasswordChanged with each, and ends those that have
// another. Users who come from another system bring their hashes with them, see
// CreateUserParams.PasswordHash and [password.Legacy]. Options.AfterSignIn and
// Options.AfterPasswordChange tell the host of sign-ins, failures, locks and new passwords.
//
// What keeps a user out, and what it does to each operation:
//
//   - not approved: IsApproved is false. Somebody has to approve the user: SetStatus.
//   - locked out: IsLockedOut is true, by SetStatus, until it is taken back.
//   - a lock: after failed sign-ins, for a time that grows; see [Lockout]. A new password
//     ends it.
//   - no password: it was created with AutoCreatePassword and has set none yet.
//   - disabled: the application is, Application.Disabled.
//
// The errors of Authenticate and of an own ChangePassword are those after the right
// password; a wrong one is ErrBadCredentials, whoever is locked out.
//
//	                     not approved    locked out    a lock             no password        disabled
//	Authenticate         ErrNotApproved  ErrLockedOut  ErrBadCredentials  ErrBadCredentials  ErrBadCredentials
//	ChangePassword, own  ErrNotApproved  ErrLockedOut  ErrBadCredentials  ErrBadCredentials  ErrForbidden
//	ChangePassword       works           works         works, ends it     works, ends it     ErrForbidden
//	RecoverPassword      works           works         works              works              sends nothing
//	SetPassword          works           works         works, ends it     works, ends it     ErrBadToken
//	messages             are sent        are sent      are sent           are sent           wait
//	UpdateUser           works           works         works              works              ErrForbidden
//	all others           work            work          work               work               ErrForbidden
//
// Who is in two states is refused for being locked out first. None of them ends a state but
// where it says so: who is locked out and sets a password stays locked out. Of a disabled
// application only Application and UpdateApplication work. The host's sessions are not among them: end those of a user
// who was locked out or is not approved any more, as examples/signin does.
//
// # Bringing users from another system
//
// [Service.Import] creates users from rows of any number, a batch in each transaction, and
// says of each row what became of it. One that is refused harms no other. Run again it goes
// on where it was stopped.
//
// # Plugging in a store
//
// A [Store] keeps what it is given, all or nothing, and reports conflicts; it
// holds no policy. Package memstore keeps it in memory, for tests and demos;
// package sqlstore in PostgreSQL, MySQL, MariaDB or SQLite. The contract for a
// store of your own is the comment of Store, and package storetest checks it.
// The types that its methods mention, and its capabilities such as [UserEditor], are
// for those who write one.
//
// To create a user inside a transaction of your own, hash first, so that no
// connection is held meanwhile, and tell the Service that the commit is yours:
//
//	prepared, err := svc.Prepare(ctx, "acme", p)
//	…begin…
//	u, err := svc.InTx(store.WithTx(tx)).CreatePrepared(ctx, prepared)
//	…commit…
//
// # Notifications
//
// Create sends nothing. With SendEmailNotification it writes a row that a relay
// (package outbox) hands to a [Notifier], at least once and never for a user that
// was not committed. A user created with AutoCreatePassword has no password: the
// relay makes a one-time token when it sends the message, and
// [Service.SetPassword] takes it. Tokens are stored as hashes, passwords as
// argon2id; the types that hold them print nothing.
//
// # Errors
//
// Each class of failure has a sentinel for errors.Is, and those with detail a
// struct for errors.As:
//
//   - [*ValidationError]: every invalid member, with a JSON pointer, a stable code and a sentence.
//   - [*ConflictError]: every member whose value is taken.
//   - [*ForbiddenError]: every privileged member that the caller may not set, or
//     none where the operation as a whole is refused.
//   - [ErrUnauthenticated], [ErrUnknownApplication], [ErrNotFound],
//     [ErrIdempotencyMismatch], [ErrBadToken], [ErrBadCredentials], [ErrLockedOut],
//     [ErrNotApproved].
//   - [ErrOverloaded], with a [password.OverloadedError] that says when to retry.
//   - [*TooManyRequestsError]: a hook of the host says when to retry.
//   - [ErrStale], [ErrIdempotencyKeyUsed], [ErrRetryTx], [ErrUnsupported]: what stores return.
//   - [ErrUnavailable].
//
// After ErrUnavailable and any error that matches none of these the user may or
// may not exist: repeat the call with the same idempotency key to find out. After
// every other class nothing was written. Errors from a hook, a store or the
// context are returned wrapped; those of hooks as a [*HookError].
package users
