exports.h = { sub: async () => "r" };
