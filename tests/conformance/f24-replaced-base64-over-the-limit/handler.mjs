export const handler = async (event) => {
  const { request } = event.Records[0].cf;
  request.body = { action: "replace", encoding: "base64", data: "AAAA".repeat(14 * 1024) };
  return request;
};
