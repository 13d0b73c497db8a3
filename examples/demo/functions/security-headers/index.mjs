// viewer-response: runs on hits and misses alike, so cached pages get these too.
const HEADERS = {
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
  'content-security-policy': "default-src 'self'; style-src 'self'; img-src 'self' data:",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'strict-origin-when-cross-origin',
};

export const handler = async (event) => {
  const { response } = event.Records[0].cf;
  for (const [name, value] of Object.entries(HEADERS)) {
    response.headers[name] = [{ key: name, value }];
  }
  return response;
};
