export default { handler: async () => "r" };
