export { type Composition, compose, SERVICES, type ServiceName } from './compose.js';
