# https://github.com/fsouza/fake-gcs-server/blob/main/Dockerfile, but from scratch.
FROM scratch
COPY bin/fake-gcs-server /bin/fake-gcs-server
COPY data /data
COPY storage /storage
COPY tmp /tmp
EXPOSE 4443
ENTRYPOINT ["/bin/fake-gcs-server", "-data", "/data"]
