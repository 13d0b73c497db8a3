// viewer-request: the chosen page is part of the cache key, because this hook
// runs before the key is made. Both variants are cached.
const GROUPS = ['a', 'b'];

export const handler = async (event) => {
  const { request } = event.Records[0].cf;
  const cookies = (request.headers.cookie ?? []).map((header) => header.value).join('; ');
  const group = /(?:^|;\s*)group=([ab])(?:;|$)/.exec(cookies)?.[1];
  if (group === undefined) {
    const chosen = GROUPS[Math.floor(Math.random() * GROUPS.length)];
    return {
      status: '302',
      statusDescription: 'Found',
      headers: {
        location: [{ key: 'Location', value: request.uri }],
        'set-cookie': [{ key: 'Set-Cookie', value: `group=${chosen}; Path=/; Max-Age=86400; SameSite=Lax` }],
        'cache-control': [{ key: 'Cache-Control', value: 'no-store' }],
      },
    };
  }
  request.uri = `/offer/${group}.html`;
  return request;
};
