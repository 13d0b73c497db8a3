export const handler = async () => {
  throw new TypeError("no");
};
