export const handler = async (event) => {
  if (event.Records[0].cf.request.uri !== "/hostile") return { status: "200", body: "alive" };
  Promise.reject(new Error("unseen"));
  return new Promise((resolve) => setTimeout(resolve, 1000));
};
