// viewer-request: answers 401 itself, so a stranger never reaches cache or origin.
// CommonJS and node:crypto, as in most functions that run on Lambda@Edge today.
const { createHmac, timingSafeEqual } = require('node:crypto');

function verify(token, secret) {
  const parts = token.split('.');
  if (parts.length !== 3) throw new Error('not a token');
  const [header, claims, signature] = parts;
  if (JSON.parse(Buffer.from(header, 'base64url')).alg !== 'HS256') throw new Error('alg is not HS256');
  const expected = createHmac('sha256', secret).update(`${header}.${claims}`).digest();
  const given = Buffer.from(signature, 'base64url');
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw new Error('bad signature');
  const { exp } = JSON.parse(Buffer.from(claims, 'base64url'));
  if (typeof exp !== 'number' || exp * 1000 <= Date.now()) throw new Error('expired');
}

exports.handler = async (event) => {
  const { request } = event.Records[0].cf;
  const bearer = request.headers.authorization?.[0].value ?? '';
  try {
    verify(bearer.replace(/^Bearer /i, ''), process.env.JWT_SECRET);
  } catch (error) {
    console.log('refused', request.clientIp, error.message);
    return {
      status: '401',
      statusDescription: 'Unauthorized',
      headers: {
        'www-authenticate': [{ key: 'WWW-Authenticate', value: 'Bearer realm="members"' }],
        'content-type': [{ key: 'Content-Type', value: 'application/json' }],
      },
      body: JSON.stringify({ error: 'a valid token is needed' }),
    };
  }
  delete request.headers.authorization;
  return request;
};
