# One image for all services: `waypost run <service…> --config <file>`. The base brings Node 24 and nothing else is needed.
ARG BASE_IMAGE=docker.io/library/node:24-bookworm-slim
# Where it is built: with npm.
ARG BUILD_IMAGE=${BASE_IMAGE}

FROM ${BUILD_IMAGE} AS build
WORKDIR /app
# A file with certificates of a proxy that comes between, in the base.
ARG NODE_EXTRA_CA_CERTS
ENV CI=1 TURBO_TELEMETRY_DISABLED=1 DO_NOT_TRACK=1
COPY . .
RUN npm ci --no-audit --no-fund --loglevel=error \
 && node_modules/.bin/turbo run build --filter=@waypost/waypost --output-logs=errors-only \
 && rm -rf node_modules packages/*/node_modules services/*/node_modules .turbo \
 && npm ci --omit=dev --workspace=@waypost/waypost --no-audit --no-fund --loglevel=error
# What only people read, and sources that were compiled, stay out of the image.
RUN rm -rf packages/*/src services/*/src packages/*/.turbo services/*/.turbo packages/*/tsconfig* services/*/tsconfig* \
 && find node_modules packages services -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \
    -o -iname '*.md' -o -iname 'changelog*' -o -name '*.tsbuildinfo' \) -delete \
 && mkdir /out && cp -a node_modules packages services package.json LICENSE /out/

FROM ${BASE_IMAGE}
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /out/ ./
USER 10001:10001
# Of the process itself: it drains on SIGTERM.
ENTRYPOINT ["node", "--max-semi-space-size=16", "/app/services/waypost/dist/main.js"]
CMD ["help"]
