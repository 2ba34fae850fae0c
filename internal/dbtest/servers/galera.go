package servers

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// cluster is the Galera cluster of the process, made once.
type cluster struct {
	once  sync.Once
	dsns  []string
	err   error
	nodes []*Server // those that were started here
}

var galera cluster

// Galera returns, for each of three nodes of a MariaDB Galera cluster, the DSN of
// one new, empty database, which is dropped when the test ends. The cluster is
// that of USERS_TEST_GALERA, DSNs with commas between them, or a throw-away one.
func Galera(t testing.TB) (all []string) {
	t.Helper()
	galera.once.Do(func() {
		if named := os.Getenv("USERS_TEST_GALERA"); named != "" {
			galera.dsns = strings.Split(named, ",")
			return
		}
		if galera.nodes, galera.err = startGalera(3); galera.err != nil { // maybe another took a port of its
			galera.nodes, galera.err = startGalera(3)
		}
		for _, n := range galera.nodes {
			galera.dsns = append(galera.dsns, n.DSN)
		}
	})
	if galera.err != nil {
		missing(t, "Galera", galera.err)
	}

	name := unique()
	admin(t, "mysql", galera.dsns[0], `CREATE DATABASE `+name, `DROP DATABASE `+name)
	for _, dsn := range galera.dsns {
		c, err := mysql.ParseDSN(dsn)
		if err != nil {
			t.Fatalf("USERS_TEST_GALERA: %v", err)
		}
		c.DBName = name
		if err := await("mysql", c.FormatDSN(), nil); err != nil { // it comes a moment later
			t.Fatal(err)
		}
		all = append(all, c.FormatDSN())
	}
	return all
}

func (c *cluster) stop() (err error) {
	for _, n := range c.nodes {
		err = errors.Join(err, n.Stop())
	}
	return err
}

// startGalera starts a cluster of n nodes. The first has its data made; it gives
// them to the others.
func startGalera(n int) (nodes []*Server, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, (&cluster{nodes: nodes}).stop())
			nodes = nil
		}
	}()
	libraries, _ := filepath.Glob("/usr/lib*/galera*/libgalera_smm.so")
	if len(libraries) == 0 {
		return nil, errors.New("libgalera_smm.so is not installed")
	}
	if _, err := exec.LookPath("rsync"); err != nil {
		return nil, errors.New("rsync is not installed")
	}

	var members []string
	for range n {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		members = append(members, fmt.Sprint("127.0.0.1:", port))
	}
	for i, member := range members {
		transfer, err := freePort()
		if err != nil {
			return nodes, err
		}
		state, err := freePort()
		if err != nil {
			return nodes, err
		}
		args := []string{
			"--wsrep-on=ON", "--wsrep-provider=" + libraries[len(libraries)-1],
			"--wsrep-cluster-name=" + members[0], "--wsrep-cluster-address=gcomm://" + strings.Join(members, ","),
			"--wsrep-node-address=" + member, "--wsrep-node-name=n" + strconv.Itoa(i),
			"--wsrep-sst-method=rsync", fmt.Sprint("--wsrep-sst-receive-address=127.0.0.1:", state),
			"--wsrep-provider-options=" + fmt.Sprintf("gmcast.listen_addr=tcp://%s;ist.recv_addr=127.0.0.1:%d;gcache.size=8M", member, transfer),
			"--binlog-format=ROW", "--innodb-autoinc-lock-mode=2",
			"--innodb-log-file-size=8M", "--innodb-buffer-pool-size=32M",
			// The cluster keeps what a node loses, and no test kills one.
			"--innodb-flush-log-at-trx-commit=0",
		}
		if i == 0 {
			args = append(args, "--wsrep-new-cluster")
		}
		node, err := startMariaDB("", i > 0, args...)
		if err != nil {
			return nodes, err
		}
		nodes = append(nodes, node)
		if err := awaitSynced(node); err != nil {
			return nodes, err
		}
	}
	return nodes, nil
}

// awaitSynced returns when a node takes part.
func awaitSynced(s *Server) error {
	db, err := sql.Open("mysql", s.DSN)
	if err != nil {
		return err
	}
	defer db.Close()
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var name, state string
		err := db.QueryRow("SHOW STATUS LIKE 'wsrep_local_state_comment'").Scan(&name, &state)
		if err == nil && state == "Synced" {
			return nil
		}
	}
	return errors.New("a node of Galera does not join the others")
}
