export const handler = async (event) => {
  const request = event.Records[0].cf.request;
  request.querystring = "a b";
  return request;
};
