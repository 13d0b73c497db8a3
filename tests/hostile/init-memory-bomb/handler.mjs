const all = [];
for (;;) all.push({ nth: all.length });

export const handler = async () => ({ status: "200", body: "alive" });
