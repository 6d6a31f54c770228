test('two sessions of one person', story);
