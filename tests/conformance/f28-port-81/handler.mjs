export const handler = async (event) => {
  const request = event.Records[0].cf.request;
  request.origin.custom.port = 81;
  return request;
};
