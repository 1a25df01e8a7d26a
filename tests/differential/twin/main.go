// The upstream twin: one process that runs etcd and kube-apiserver as released, with the settings of a
// `k3s server`, so that answers of both can be compared. It runs no controllers.
//
// It writes `token` (a bearer token of the group system:masters) and `apiserver.crt` (what its TLS
// certificate is verified with) into the folder of --dir, and then serves until it is stopped.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

const (
	issuer       = "https://kubernetes.default.svc.cluster.local"
	etcdTimeout  = time.Minute
	etcdClient   = "127.0.0.1:2379"
	etcdPeer     = "127.0.0.1:2380"
	readableOnly = 0o600
)

func main() {
	dir := flag.String("dir", "", "folder for data and credentials")
	port := flag.Int("port", 0, "port of the API on 127.0.0.1")
	flag.Parse()
	if err := run(*dir, *port); err != nil {
		fmt.Fprintln(os.Stderr, "twin:", err)
		os.Exit(1)
	}
}

func run(dir string, port int) error {
	if dir == "" || port == 0 {
		return fmt.Errorf("--dir and --port are needed")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	etcd, err := startEtcd(filepath.Join(dir, "etcd"))
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	defer etcd.Close()
	tokens, err := writeToken(dir)
	if err != nil {
		return fmt.Errorf("token: %w", err)
	}
	key, err := writeServiceAccountKey(dir)
	if err != nil {
		return fmt.Errorf("service account key: %w", err)
	}
	command := app.NewAPIServerCommand()
	command.SetArgs(flags(dir, port, tokens, key))
	return command.Execute()
}

// flags are those of the API server that `k3s server` is compared with.
func flags(dir string, port int, tokens, key string) []string {
	return []string{
		"--etcd-servers=http://" + etcdClient,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--advertise-address=192.0.2.10",
		"--cert-dir=" + dir,
		"--token-auth-file=" + tokens,
		"--anonymous-auth=false",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--service-cluster-ip-range=10.43.0.0/16",
		"--service-node-port-range=30000-32767",
		"--service-account-issuer=" + issuer,
		"--api-audiences=" + issuer + ",k3s",
		"--service-account-key-file=" + key,
		"--service-account-signing-key-file=" + key,
		// The load of a comparison is not what is compared.
		"--max-requests-inflight=4000",
		"--max-mutating-requests-inflight=2000",
	}
}

func startEtcd(dir string) (*embed.Etcd, error) {
	config := embed.NewConfig()
	config.Dir = dir
	config.LogLevel = "error"
	config.LogOutputs = []string{"stderr"}
	// Nothing is kept after the comparison.
	config.UnsafeNoFsync = true
	client := url.URL{Scheme: "http", Host: etcdClient}
	peer := url.URL{Scheme: "http", Host: etcdPeer}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err := <-etcd.Err():
		return nil, err
	case <-time.After(etcdTimeout):
		etcd.Close()
		return nil, fmt.Errorf("not ready after %s", etcdTimeout)
	}
}

// writeToken makes a token of an administrator, for clients (`token`) and for the server (its table).
func writeToken(dir string) (string, error) {
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return "", err
	}
	token := hex.EncodeToString(random)
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(token), readableOnly); err != nil {
		return "", err
	}
	table := filepath.Join(dir, "tokens.csv")
	row := token + ",system:admin,,system:masters\n"
	return table, os.WriteFile(table, []byte(row), readableOnly)
}

func writeServiceAccountKey(dir string) (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	pem, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "service-account.key")
	return path, os.WriteFile(path, pem, readableOnly)
}
