export { createDelivery, type DeliveryDeps } from './service.js';
