export const handler = async (event) => {
  const request = event.Records[0].cf.request;
  request.uri = "index.html";
  return request;
};
