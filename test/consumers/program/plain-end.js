void story().then(() => console.log('All answers are as expected.'));
