// More than the runner's 5 seconds: the machine may be busy.
test('two sessions of one person', story, 300_000);
