// origin-request: asks another origin, answers in its place. The answer is
// cached for five seconds under the path and the `category` parameter.
export const handler = async (event) => {
  const { request } = event.Records[0].cf;
  const category = new URLSearchParams(request.querystring).get('category');
  const stock = await fetch(process.env.STOCK_URL).then((response) => response.json());
  const products = stock.filter((item) => category === null || item.category === category);
  return {
    status: '200',
    statusDescription: 'OK',
    headers: {
      'content-type': [{ key: 'Content-Type', value: 'application/json' }],
      'cache-control': [{ key: 'Cache-Control', value: 'max-age=5' }],
    },
    body: JSON.stringify({ category, products, generated_at: new Date().toISOString() }, null, 2) + '\n',
  };
};
