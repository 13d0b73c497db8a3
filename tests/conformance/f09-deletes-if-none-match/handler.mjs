export const handler = async (event) => {
  const request = event.Records[0].cf.request;
  delete request.headers["if-none-match"];
  return request;
};
