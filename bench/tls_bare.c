#include "bench/tls_bare.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void must(int good, const char* what) {
  if (good) return;
  fprintf(stderr, "tls_bare: %s failed\n", what);
  exit(70);
}

struct bare_identity {
  EVP_PKEY* key;
  X509* chain[3]; /* the server's first */
};

static EVP_PKEY* new_key(int rsa) {
  EVP_PKEY* key = rsa ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
                      : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
  must(key != NULL, "making a key");
  return key;
}

static X509* new_certificate(const char* subject, EVP_PKEY* key, X509* issuer, EVP_PKEY* signer,
                             int number, const char* value) {
  X509* made = X509_new();
  X509_set_version(made, 2);
  static int serial = 0;
  ASN1_INTEGER_set(X509_get_serialNumber(made), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(made), -3600);
  X509_gmtime_adj(X509_getm_notAfter(made), 24 * 3600);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
                             (const unsigned char*)subject, -1, -1, 0);
  X509_set_issuer_name(made, X509_get_subject_name(issuer != NULL ? issuer : made));
  X509_set_pubkey(made, key);
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer != NULL ? issuer : made, made, NULL, NULL, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(NULL, &context, number, value);
  must(extension != NULL && X509_add_ext(made, extension, -1) == 1, "an extension");
  X509_EXTENSION_free(extension);
  must(X509_sign(made, signer, EVP_sha256()) > 0, "signing");
  return made;
}

struct bare_identity* bare_identity_new(const char* root_path, int rsa) {
  struct bare_identity* made = calloc(1, sizeof *made);
  must(made != NULL, "calloc");
  EVP_PKEY* root = new_key(rsa);
  EVP_PKEY* middle = new_key(rsa);
  made->key = new_key(rsa);
  made->chain[2] =
      new_certificate("Root", root, NULL, root, NID_basic_constraints, "critical,CA:TRUE");
  made->chain[1] = new_certificate("Middle", middle, made->chain[2], root, NID_basic_constraints,
                                   "critical,CA:TRUE");
  made->chain[0] = new_certificate("mx.example.com", made->key, made->chain[1], middle,
                                   NID_subject_alt_name, "DNS:mx.example.com");
  EVP_PKEY_free(root);
  EVP_PKEY_free(middle);
  FILE* file = fopen(root_path, "w");
  must(file != NULL && PEM_write_X509(file, made->chain[2]) == 1 && fclose(file) == 0,
       "writing the root");
  return made;
}

void bare_serve(struct bare_identity* identity, int listener, int hold) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  must(SSL_CTX_use_certificate(context, identity->chain[0]) == 1 &&
           SSL_CTX_use_PrivateKey(context, identity->key) == 1 &&
           SSL_CTX_add1_chain_cert(context, identity->chain[1]) == 1 &&
           SSL_CTX_add1_chain_cert(context, identity->chain[2]) == 1,
       "the server's identity");
  while (1) {
    int socket = accept(listener, NULL, NULL);
    if (socket < 0) exit(0);
    int one = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    SSL* session = SSL_new(context);
    SSL_set_fd(session, socket);
    char octet = 0;
    if (SSL_accept(session) == 1 && SSL_read(session, &octet, 1) == 1) {
      (void)SSL_write(session, "y", 1);
      if (hold) continue; /* and forget: this process only waits for its end */
      (void)SSL_read(session, &octet, 1);
    }
    SSL_set_shutdown(session, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(session);
    close(socket);
  }
}

struct bare_client {
  SSL_CTX* context;
  SSL_SESSION* session;
};

static int keep_session(SSL* ssl, SSL_SESSION* session) {
  struct bare_client* client = SSL_get_ex_data(ssl, 0);
  SSL_SESSION_free(client->session);
  client->session = session;
  return 1;
}

struct bare_client* bare_client_new(const char* root_path) {
  struct bare_client* made = calloc(1, sizeof *made);
  must(made != NULL, "calloc");
  made->context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_verify(made->context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_session_cache_mode(made->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(made->context, keep_session);
  must(SSL_CTX_load_verify_file(made->context, root_path) == 1, "reading the root");
  return made;
}

int bare_shake(struct bare_client* client, int port, int resume) {
  int socket_to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int one = 1;
  setsockopt(socket_to, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct sockaddr_in to;
  memset(&to, 0, sizeof to);
  to.sin_family = AF_INET;
  to.sin_port = htons((unsigned short)port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  must(connect(socket_to, (struct sockaddr*)&to, sizeof to) == 0, "connect");
  SSL* session = SSL_new(client->context);
  SSL_set_ex_data(session, 0, client);
  SSL_set_tlsext_host_name(session, "mx.example.com");
  SSL_set1_host(session, "mx.example.com");
  if (resume && client->session != NULL) SSL_set_session(session, client->session);
  SSL_set_fd(session, socket_to);
  must(SSL_connect(session) == 1, "the handshake");
  char octet = 0;
  must(SSL_write(session, "x", 1) == 1 && SSL_read(session, &octet, 1) == 1, "an octet");
  int resumed = SSL_session_reused(session);
  SSL_shutdown(session);
  SSL_free(session);
  close(socket_to);
  return resumed;
}
