/**
 * A certificate for localhost and 127.0.0.1 that no authority has signed, with its key, valid for 100 years. Made for tests
 * and worth nothing:
 * `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -subj /CN=localhost
 * -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:TRUE`
 */
export const SELF_SIGNED = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgw/+unP6WpOtrMYY5
0sCOxYulhq6JXkPHQcck6L5WHl+hRANCAASVN8M2080RKHCQfrlCsKUKZXnFeScW
1mpogEVDMFBEUSxCKQg8E1UhfkQXVX68xZeL+AAjQURoCD8+UjhGNlSq
-----END PRIVATE KEY-----
`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUSW/0hhT6ubU/viQmS75YAg4gDoIwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMDIxMzY1OVoYDzIxMjYxMDI3
MjEzNjU5WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAASVN8M2080RKHCQfrlCsKUKZXnFeScW1mpogEVDMFBEUSxCKQg8E1Uh
fkQXVX68xZeL+AAjQURoCD8+UjhGNlSqo28wbTAdBgNVHQ4EFgQUU5W1PNnaqDf/
X6B7Hptc+4pu0TEwHwYDVR0jBBgwFoAUU5W1PNnaqDf/X6B7Hptc+4pu0TEwGgYD
VR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZI
zj0EAwIDSQAwRgIhAOfS3oY8Hb0R/ig7RmIF3wMivM0iXwnN+ZIIYeJPU4yJAiEA
vhdwXI224nVT93Tus2yn4thgPOvwylqIzSduFCNnENE=
-----END CERTIFICATE-----
`,
};
