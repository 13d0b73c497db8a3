// viewer-request with include_body: up to 40 KB of the body are in the event.
export const handler = async (event) => {
  const { request } = event.Records[0].cf;
  if (request.method !== 'POST') {
    return { status: '405', statusDescription: 'Method Not Allowed', headers: { allow: [{ key: 'Allow', value: 'POST' }] } };
  }
  const text = Buffer.from(request.body.data, 'base64').toString('utf8');
  return {
    status: '200',
    statusDescription: 'OK',
    headers: { 'content-type': [{ key: 'Content-Type', value: 'application/json' }] },
    body: JSON.stringify({ text, bytes: Buffer.byteLength(text), truncated: request.body.inputTruncated }) + '\n',
  };
};
