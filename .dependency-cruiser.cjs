/** The import rules of the architecture: what may know of what. Each rule's comment says why. */

module.exports = {
  forbidden: [
    {
      name: 'services-apart',
      comment: 'Services meet in queues only, so that each can be scaled and replaced alone.',
      severity: 'error',
      from: { path: '^services/([^/]+)/', pathNot: '^services/waypost/' },
      to: { path: '^services/([^/]+)/', pathNot: '^services/$1/' },
    },
    {
      name: 'packages-below-services',
      comment: 'A package serves the services and knows none.',
      severity: 'error',
      from: { path: '^packages/' },
      to: { path: '^(services|test|bench)/' },
    },
    {
      name: 'mail-alone',
      comment: 'The rules of mail are pure: no input or output, no library.',
      severity: 'error',
      from: { path: '^packages/mail/src/' },
      to: { pathNot: '^packages/mail/src/' },
    },
    {
      name: 'adapters-know-little',
      comment: 'An adapter may know the mail rules, its settings and the Redis port below it, not what composes it.',
      severity: 'error',
      from: { path: '^packages/(redis|spool|queue|dns|smtp|mime|filters|spam)/src/' },
      to: { path: '^packages/(runtime|store|testkit)/' },
    },
    {
      name: 'testkit-in-tests',
      comment: 'Nothing that runs in production leans on the test tools.',
      severity: 'error',
      from: { pathNot: '^(packages/testkit|test|bench)/' },
      to: { path: '^packages/testkit/' },
    },
    {
      name: 'one-file-knows-bullmq',
      comment: "BullMQ's inner interfaces change; one file has to follow.",
      severity: 'error',
      from: { pathNot: '^packages/queue/src/bull\\.ts$' },
      to: { path: '(^|/)node_modules/bullmq/' },
    },
    {
      name: 'no-deep-imports',
      comment: 'A package is used through its exports.',
      severity: 'error',
      from: { path: '^(packages|services)/([^/]+)/' },
      to: {
        path: '^(packages|services)/[^/]+/(src|dist)/',
        pathNot: ['^$1/$2/', '^(packages|services)/[^/]+/dist/index\\.(d\\.ts|js)$'],
      },
    },
    {
      name: 'no-deep-imports-from-tests',
      comment: 'Tests use what users of a package use.',
      severity: 'error',
      from: { path: '^(test|bench)/' },
      to: {
        path: '^(packages|services)/[^/]+/(src|dist)/',
        pathNot: '^(packages|services)/[^/]+/dist/index\\.(d\\.ts|js)$',
      },
    },
    {
      name: 'no-cycles',
      comment: 'Files that need each other are one file, or have a third between them.',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { pathNot: 'node_modules' } },
    },
    {
      name: 'no-undeclared',
      comment: 'What is imported stands in the own package.json.',
      severity: 'error',
      from: { path: '^(packages|services)/' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'unknown'] },
    },
    {
      name: 'no-unresolved',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: ['node_modules', '/dist/'] },
    parser: 'swc',
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'default'] },
  },
};
