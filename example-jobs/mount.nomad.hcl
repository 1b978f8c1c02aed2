# A directory of the client, by its path. The operator must allow it in the plugin's config block:
# volumes {
#   enabled       = true
#   allowed_paths = ["/srv/example"]
# }
#
#     nomad job run -var image=URL -var pot=NAME -var data=/srv/example example-jobs/mount.nomad.hcl

variable "image" {
  type        = string
  default     = "http://127.0.0.1:8000/pots"
  description = "URL of the directory that the image's files are in"
}

variable "pot" {
  type    = string
  default = "hello-linux" # hello-freebsd, on a client that runs FreeBSD
}

variable "data" {
  type        = string
  default     = "/srv/example"
  description = "directory on the client with a file greeting"
}

job "mount" {
  type = "batch"

  group "mount" {
    task "read" {
      driver = "pot"

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["cat", "/data/greeting"]

        mount_read_only = ["${var.data}:/data"] # mount, to write there
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }
  }
}
