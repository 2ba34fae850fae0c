package users

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/gousers/users/password"
)

// DefaultBatch is how many users Import writes in one transaction.
const DefaultBatch = 500

// maxBatchBytes cuts a batch whose users have much with them.
const maxBatchBytes = 4 << 20

// ImportUser is a row of an import: a new user.
type ImportUser struct {
	// CreateUserParams are as for Create, but that ConfirmPassword may be absent, and a user
	// with neither Password nor PasswordHash has no password: it sets one by a link
	// (AutoCreatePassword). There is no IdempotencyKey: what was imported is recognized.
	CreateUserParams
	// EmailVerified: it was proved that the user gets mail at Email. See User.EmailVerified,
	// which becomes the time of the import.
	EmailVerified bool
}

// ImportOptions configures an import. The zero value suits a first run and its
// repetition.
type ImportOptions struct {
	// DryRun judges every row and writes nothing. It keeps some 50 bytes of each row, to
	// know what comes twice.
	DryRun bool
	// Batch is how many users are written in one transaction, at most MaxBatch; 0:
	// DefaultBatch. A transaction has fewer where they have more than 4 MiB with them.
	Batch int
	// SkipPolicy takes passwords that Options.Policy would refuse: they are in use.
	SkipPolicy bool
}

// ImportOutcome is what became of a row.
type ImportOutcome string

// The outcomes of a row.
const (
	// ImportCreated: the user is stored; in a dry run it would be.
	ImportCreated ImportOutcome = "created"
	// ImportExists: there is a user with this name and address, and with the ID of the row
	// if that has one. It was not changed. An import that is run again says so of what it
	// wrote before.
	ImportExists ImportOutcome = "exists"
	// ImportDuplicate: an earlier row of this import, or whoever else created a user
	// meanwhile, took a key of this one.
	ImportDuplicate ImportOutcome = "duplicate"
	// ImportRefused: the row is not what can be created.
	ImportRefused ImportOutcome = "refused"
)

// ImportResult is what became of one row.
type ImportResult struct {
	Row     int64 // from 1
	Outcome ImportOutcome
	ID      string // of the user that was created or exists
	// Err is why the row was refused, as Create would say it, or the error with which it
	// came; a *ConflictError of a duplicate; else nil.
	Err error
}

// Import creates users from rows, of which there may be any number, and yields a result
// for each, in their order. It needs the permissions CreateUsers and ImportUsers, and for
// each row what Create asks for. o may be nil.
//
// Rows are read, and results yielded, a batch at a time, on the caller's goroutine: no
// more is in memory. A batch is written in one transaction by a Store that is a
// [BatchStore], and user by user by another, and with Options.OnCreate. No row harms
// another: one that is refused, or comes with an error, is a result like any. What was
// yielded as created is durable.
//
// An error beside a zero result is the last: of ctx, of the store, of a caller that may
// not import or an application that was disabled, or a *ValidationError of o. Then the rows
// after the last result may have been written or not. To go on, run the import again from
// its start: rows that were written are ImportExists. Where the caller ends the sequence,
// the batch that it saw was written. The Caller in ctx is judged once, at the start.
//
// Passwords are hashed some at a time, in a queue of the application's imports: those who
// create users and sign in keep their turns. Options.BeforeCreate runs for each row, also
// in a dry run, and AfterCreate for each user that was created. What a hook returns refuses
// its row, but for ErrUnavailable, a *TooManyRequestsError and the errors of a context,
// which end the import.
func (s *Service) Import(ctx context.Context, apiKey string, rows iter.Seq2[ImportUser, error], o *ImportOptions) iter.Seq2[ImportResult, error] {
	return func(yield func(ImportResult, error) bool) {
		b, err := s.newImport(ctx, apiKey, o)
		if err != nil {
			yield(ImportResult{}, err)
			return
		}
		for row, err := range rows {
			b.read(ctx, row, err)
			if (b.full() || ctx.Err() != nil) && !b.flush(ctx, yield) {
				return
			}
		}
		b.flush(ctx, yield)
	}
}

// importer is the state of one import.
type importer struct {
	s       *Service
	o       ImportOptions
	app     Application
	actor   actor
	batches BatchStore // nil: user by user
	start   time.Time  // users who were created since are its own

	row   int64
	batch []importRow
	bytes int
	fatal error               // of the row that was read last
	known map[string][]Role   // what was looked up for this batch, by query
	roles map[string]Role     // and each of them once, by ID
	seen  map[uint64]struct{} // keys of a dry run
	seed  maphash.Seed
}

// importRow is a row on its way. It is settled once it has an outcome.
type importRow struct {
	ImportResult
	*creation
}

func (s *Service) newImport(ctx context.Context, apiKey string, o *ImportOptions) (*importer, error) {
	app, actor, err := s.authorize(ctx, apiKey, CreateUsers|ImportUsers)
	if err != nil {
		return nil, err
	}
	b := &importer{s: s, app: app, actor: actor, start: s.now(), seed: maphash.MakeSeed()}
	if o != nil {
		b.o = *o
	}
	if b.o.Batch < 0 || b.o.Batch > MaxBatch {
		var f faults
		f.add(FieldError{Pointer: "/batch", Code: "out_of_range", Detail: fmt.Sprintf("must be between 1 and %d", MaxBatch), Limit: MaxBatch})
		return nil, f.err()
	}
	b.o.Batch = cmp.Or(b.o.Batch, DefaultBatch)
	if b.o.DryRun {
		b.seen = make(map[uint64]struct{})
	}
	if s.opts.OnCreate == nil {
		b.batches, _ = StoreAs[BatchStore](s.store)
	}
	return b, nil
}

// read judges a row as far as that needs no other.
func (b *importer) read(ctx context.Context, row ImportUser, err error) {
	b.row++
	r := importRow{ImportResult: ImportResult{Row: b.row}}
	if err == nil {
		r.creation, err = b.create(ctx, row)
		if b.fatal = fatal(err); b.fatal != nil {
			return
		}
	}
	if err != nil {
		r.Outcome, r.Err, r.creation = ImportRefused, err, nil
	} else {
		b.bytes += r.size()
	}
	b.batch = append(b.batch, r)
}

// create does for a row what Create does before it looks at other users.
func (b *importer) create(ctx context.Context, row ImportUser) (*creation, error) {
	p := row.CreateUserParams
	switch clear, hashed := !p.Password.IsZero(), !p.PasswordHash.IsZero(); {
	case !clear && !hashed:
		p.AutoCreatePassword = true
	case !hashed && p.ConfirmPassword.IsZero():
		p.ConfirmPassword = p.Password
	}
	key := p.IdempotencyKey
	p.IdempotencyKey = ""
	c := &creation{app: b.app, actor: b.actor, findRoles: b.findRoles, anyPassword: b.o.SkipPolicy}
	if key != "" {
		c.faults.add(FieldError{Code: "excluded", Detail: "the idempotency key must be absent"})
	}
	if err := b.s.start(ctx, c, p); err != nil {
		return nil, err
	}
	err := b.s.check(ctx, c)
	if errors.Is(err, ErrUnsupported) { // there is no outbox, or no tokens
		c.faults.add(FieldError{Pointer: "/sendEmailNotification", Code: "unsupported", Detail: "can't be done here"})
		err = c.faults.err()
	}
	if err != nil {
		return nil, err
	}
	if row.EmailVerified {
		c.record.EmailVerified = c.record.DateCreated
	}
	return c, nil
}

// findRoles asks the store once a batch for the same roles.
func (b *importer) findRoles(ctx context.Context, q RoleQuery) ([]Role, error) {
	slices.Sort(q.IDs)
	slices.Sort(q.NameKeys)
	key := fmt.Sprintf("%q", q)
	if known, ok := b.known[key]; ok {
		return known, nil
	}
	known, err := b.s.findRoles(ctx, q)
	if err != nil {
		return nil, err
	}
	if b.known == nil {
		b.known, b.roles = make(map[string][]Role), make(map[string]Role)
	}
	for i, r := range known {
		if same, ok := b.roles[r.ID]; ok {
			known[i] = same
		} else {
			b.roles[r.ID] = r
		}
	}
	b.known[key] = known
	b.bytes += len(key) + len(known)*roleSize
	return known, nil
}

// roleSize is what a reference to a role keeps in memory, whose texts are kept once.
const roleSize = 128

// size is about what a row keeps in memory.
func (r *importRow) size() int {
	n := len(r.record.DashboardSettings) + (len(r.record.Roles)+len(r.params.Roles))*roleSize
	for name, raw := range r.params.Extra {
		n += len(name) + len(raw)
	}
	return n
}

func (b *importer) full() bool {
	return b.fatal != nil || len(b.batch) >= b.o.Batch || b.bytes >= maxBatchBytes
}

// flush settles the batch and yields its results. It reports whether the import goes on.
func (b *importer) flush(ctx context.Context, yield func(ImportResult, error) bool) bool {
	err := b.settle(ctx)
	rows := b.batch
	b.batch, b.bytes, b.known, b.roles = nil, 0, nil, nil
	b.created(ctx, rows)

	if at := slices.IndexFunc(rows, func(r importRow) bool { return r.Outcome == "" }); at >= 0 {
		rows = rows[:at] // err kept the others from an outcome
	}
	for i := range rows {
		if !yield(rows[i].ImportResult, nil) {
			return false
		}
	}
	if err = cmp.Or(err, b.fatal); err != nil {
		yield(ImportResult{}, fmt.Errorf("users: import: up to row %d: %w", b.row, err))
	}
	return err == nil
}

// created runs AfterCreate for each user of rows that is durable.
func (b *importer) created(ctx context.Context, rows []importRow) {
	if b.s.opts.AfterCreate == nil || b.o.DryRun || b.s.hostTx {
		return
	}
	for i := range rows {
		if rows[i].Outcome == ImportCreated {
			b.s.opts.AfterCreate(ctx, rows[i].creation.created())
		}
	}
}

// settle brings every row of the batch to its outcome.
func (b *importer) settle(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.look(ctx); err != nil {
		return err
	}
	if b.o.DryRun {
		return b.pretend(ctx)
	}
	// What is there needs no hash.
	if err := b.compare(ctx, b.open(func(r *importRow) bool { return !r.params.Password.IsZero() })); err != nil {
		return err
	}
	if err := b.hash(ctx); err != nil {
		return err
	}
	write := b.writeEach
	if b.batches != nil {
		write = b.writeAll
	}
	conflicts, err := write(ctx, b.open(nil))
	// Also after an error: what was written before it is told.
	if failed := b.compare(ctx, conflicts); err != nil || failed != nil {
		return cmp.Or(err, failed)
	}
	for _, r := range conflicts {
		if r.Outcome == "" { // whoever had its keys is gone by now
			r.Outcome = ImportRefused
		}
	}
	return nil
}

// look reads the application as it is now: it may have been disabled.
func (b *importer) look(ctx context.Context) error {
	app, err := b.s.application(ctx, b.app.APIKey)
	if err == nil && app.Disabled {
		err = &ForbiddenError{}
	}
	if err == nil {
		b.app = app
	}
	return err
}

// open returns the rows that have no outcome yet, or those of them that which picks.
func (b *importer) open(which func(*importRow) bool) (open []*importRow) {
	for i := range b.batch {
		if r := &b.batch[i]; r.Outcome == "" && (which == nil || which(r)) {
			open = append(open, r)
		}
	}
	return open
}

// compare settles those of rows who have a key of a user that is there.
func (b *importer) compare(ctx context.Context, rows []*importRow) error {
	if len(rows) == 0 {
		return nil
	}
	q := UserQuery{ApplicationID: b.app.ID}
	for _, r := range rows {
		q.IDs = append(q.IDs, r.record.ID)
		q.NameKeys, q.EmailKeys = append(q.NameKeys, r.record.NameKey), append(q.EmailKeys, r.record.EmailKey)
	}
	found, err := b.s.findUsers(ctx, q)
	if err != nil {
		return err
	}
	byKey := make(map[[2]string]UserRecord, 3*len(found))
	for _, u := range found {
		for _, k := range keys(&u) {
			byKey[k] = u
		}
	}
	for _, r := range rows {
		var others []UserRecord
		for _, k := range keys(&r.record) {
			if o, ok := byKey[k]; ok {
				others = append(others, o)
			}
		}
		b.conflict(r, others)
	}
	return nil
}

// keys are what no two users of an application share, each with the member whose it is.
func keys(u *UserRecord) [3][2]string {
	return [3][2]string{{"userName", u.NameKey}, {"email", u.EmailKey}, {"id", u.ID}}
}

// conflict settles a row that has keys of others, if there are any.
func (b *importer) conflict(r *importRow, others []UserRecord) {
	err := CheckConflict(&r.record, others)
	if err == nil {
		return
	}
	r.Outcome, r.Err = ImportRefused, err
	for _, o := range others {
		switch {
		case !o.DateCreated.Before(b.start):
			r.Outcome, r.ID, r.Err = ImportDuplicate, "", err
			return
		case o.NameKey == r.record.NameKey && o.EmailKey == r.record.EmailKey && (r.params.ID == "" || o.ID == r.record.ID):
			r.Outcome, r.ID, r.Err = ImportExists, o.ID, nil
		}
	}
}

// pretend settles the batch of a dry run: what has a key of a user that is there, or of an
// earlier row, and what would be created.
func (b *importer) pretend(ctx context.Context) error {
	if err := b.compare(ctx, b.open(nil)); err != nil {
		return err
	}
	for _, r := range b.open(nil) {
		var members []string
		for _, k := range keys(&r.record) {
			if _, ok := b.seen[b.sum(k)]; ok {
				members = append(members, k[0])
			}
		}
		if members != nil {
			r.Outcome, r.Err = ImportDuplicate, &ConflictError{Members: members}
			continue
		}
		for _, k := range keys(&r.record) {
			if k[0] != "id" || r.params.ID != "" { // nobody else has an id that was made for it
				b.seen[b.sum(k)] = struct{}{}
			}
		}
		r.Outcome, r.ID = ImportCreated, r.record.ID
	}
	return nil
}

func (b *importer) sum(key [2]string) uint64 { return maphash.Comparable(b.seed, key) }

// hash fills in the hashes of the batch, as many at a time as the machine has processors.
func (b *importer) hash(ctx context.Context) error {
	rows := b.open(func(r *importRow) bool {
		r.record.Hash = r.params.PasswordHash
		return !r.params.Password.IsZero()
	})
	if len(rows) == 0 {
		return nil
	}
	parent := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan *importRow)
	var all sync.WaitGroup
	for range min(len(rows), runtime.GOMAXPROCS(0)) {
		all.Go(func() {
			defer func() { // it is the caller's to hear of
				if v := recover(); v != nil {
					cancel(&panicError{v})
				}
			}()
			for r := range next {
				if err := b.hashRow(ctx, r); err != nil {
					cancel(err)
				}
			}
		})
	}
	for _, r := range rows {
		select {
		case next <- r:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	all.Wait()

	err := context.Cause(ctx)
	if p := (*panicError)(nil); errors.As(err, &p) {
		panic(p.value)
	}
	return cmp.Or(parent.Err(), err)
}

// panicError carries the panic of a Hasher to the caller's goroutine.
type panicError struct{ value any }

func (p *panicError) Error() string { return fmt.Sprintf("users: import: a %T panicked", p.value) }

// hashRow waits where the queue is full: an import has time.
func (b *importer) hashRow(ctx context.Context, r *importRow) (err error) {
	for {
		r.record.Hash, err = b.s.hashPassword(ctx, importShare(b.app), r.params.Password)
		full := (*password.OverloadedError)(nil)
		if !errors.Is(err, ErrOverloaded) || !errors.As(err, &full) {
			return err
		}
		wait := time.NewTimer(full.RetryAfter)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		}
	}
}

// importShare is the share of the gate in which imports of app wait; see passwordShare.
func importShare(app Application) string { return app.APIKey + "\x00import" }

// writeAll writes rows in one transaction and returns those that conflict.
func (b *importer) writeAll(ctx context.Context, rows []*importRow) (conflicts []*importRow, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	ns := make([]*NewUser, len(rows))
	for i, r := range rows {
		if ns[i], err = b.s.newUser(r.creation); err != nil {
			return nil, err
		}
	}
	outcomes, err := b.batches.CreateUsers(ctx, ns)
	if err != nil {
		return nil, err
	}
	for i, r := range rows {
		if r.written(outcomes[i]) {
			conflicts = append(conflicts, r)
		}
	}
	return conflicts, nil
}

// writeEach writes rows one by one and returns those that conflict.
func (b *importer) writeEach(ctx context.Context, rows []*importRow) (conflicts []*importRow, err error) {
	for _, r := range rows {
		err := b.s.insert(ctx, r.creation)
		if fatal(err) != nil {
			return conflicts, err
		}
		if r.written(err) {
			conflicts = append(conflicts, r)
		}
	}
	return conflicts, nil
}

// written settles a row that was handed to the store, unless others have its keys: that it
// reports.
func (r *importRow) written(err error) (conflict bool) {
	hook := (*HookError)(nil)
	switch {
	case err == nil:
		r.Outcome, r.ID = ImportCreated, r.record.ID
	case errors.Is(err, ErrConflict) && !errors.As(err, &hook):
		r.Err = err
		return true
	default:
		r.Outcome, r.Err = ImportRefused, err
	}
	return false
}

// fatal returns err if it ends an import, and nil if it is of one row.
func fatal(err error) error {
	switch {
	case err == nil, errors.Is(err, ErrValidation), errors.Is(err, ErrForbidden), errors.Is(err, ErrConflict), errors.Is(err, ErrNotFound):
		return nil
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrTooManyRequests), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	if hook := (*HookError)(nil); errors.As(err, &hook) {
		return nil
	}
	return err
}
