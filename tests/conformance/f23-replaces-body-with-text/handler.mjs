export const handler = async (event) => {
  const request = event.Records[0].cf.request;
  request.body.action = "replace";
  request.body.encoding = "text";
  request.body.data = "zehn bytes";
  return request;
};
