// Runs on every response on its way to the viewer.
export const handler = async (event) => {
  const { request, response } = event.Records[0].cf;
  console.log(`${request.method} ${request.uri} -> ${response.status}`);
  response.headers["x-hello"] = [{ key: "X-Hello", value: "from the edge" }];
  return response;
};
