/* For tls_handshake: a server, and the plainest client there is, both by OpenSSL alone. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

struct bare_identity;
struct bare_client;

/* A root, an authority below it and a certificate for "mx.example.com" below that; the root goes to
 * `root_path` in PEM. The server sends all three. Ends the process when anything fails. */
struct bare_identity* bare_identity_new(const char* root_path, int rsa);
/* Serves connection after connection for ever: a handshake, an octet in, an octet out, the peer's
 * end; with `hold`, without waiting for the end. */
void bare_serve(struct bare_identity* identity, int listener, int hold);

struct bare_client* bare_client_new(const char* root_path);
/* A connection to 127.0.0.1: handshake, an octet out, an octet in, end. With `resume`, by the
 * session of the call before. Gives 1 when it was resumed, 0 when not. */
int bare_shake(struct bare_client* client, int port, int resume);

#ifdef __cplusplus
}
#endif
