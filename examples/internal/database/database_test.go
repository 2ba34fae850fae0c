package database

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestAMigrationThatTakesTooLongIsNoDatabaseThatIsDown also where it was down before.
func TestAMigrationThatTakesTooLongIsNoDatabaseThatIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused := true
		err := awaitUp(t.Context(), slog.New(slog.DiscardHandler), func(context.Context) error {
			if refused {
				refused = false
				return syscall.ECONNREFUSED
			}
			return inTime(t.Context(), func(ctx context.Context) error { // it waits for another process
				<-ctx.Done()
				return fmt.Errorf("sqlstore: Migrate: %w", ctx.Err())
			})
		})
		if err == nil || strings.Contains(err.Error(), "not up after") || !strings.Contains(err.Error(), "another process") {
			t.Errorf("got %v, want that the tables are not up to date", err)
		}
	})
}

func TestAURLNamesTheDatabase(t *testing.T) {
	t.Parallel()
	cfg, err := mysqlConfig("mysql://us%40er:p%3Aw%2F@db.example.com/shop?timeout=5s")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.User != "us@er" || cfg.Passwd != "p:w/" || cfg.Addr != "db.example.com:3306" || cfg.DBName != "shop" || cfg.Timeout != 5*time.Second {
		t.Errorf("got %s %s %s %s %v", cfg.User, cfg.Passwd, cfg.Addr, cfg.DBName, cfg.Timeout)
	}
}
