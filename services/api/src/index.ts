export { type ApiDeps, createApi } from './service.js';
