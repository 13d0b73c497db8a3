export const handler = async (event) => {
  const response = event.Records[0].cf.response;
  delete response.headers["content-length"];
  response.body = "";
  return response;
};
