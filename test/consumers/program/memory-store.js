const store = memoryStore();

function disconnect() {}
