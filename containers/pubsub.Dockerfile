# A stand-in for gcr.io/google.com/cloudsdktool/google-cloud-cli:emulators, with our own emulator.
ARG SERVICES=tf-dataflow-serving:latest
FROM ${SERVICES}
COPY gcloud /usr/local/bin/gcloud
EXPOSE 8085
HEALTHCHECK NONE
ENTRYPOINT []
CMD ["/bin/bash"]
