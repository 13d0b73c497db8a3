export const handler = async (event) => {
  const request = event.Records[0].cf.request;
  request.headers["cloudfront-viewer-country"] = [{ value: "DE" }];
  return request;
};
