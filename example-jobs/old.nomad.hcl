# A job as it was written for nomad-pot-driver: ports among the task's resources, port_map, and
# arguments as for a shell. It runs unchanged; task events say how to write the arguments.
#
#     nomad job run -var image=URL -var pot=NAME example-jobs/old.nomad.hcl

variable "image" {
  type        = string
  default     = "http://127.0.0.1:8000/pots"
  description = "URL of the directory that the image's files are in"
}

variable "pot" {
  type    = string
  default = "hello-linux" # hello-freebsd, on a client that runs FreeBSD
}

job "old" {
  datacenters = ["dc1"]
  type        = "service"

  group "old" {
    task "web" {
      driver = "pot"

      config {
        image        = "${var.image}/"
        pot          = var.pot
        tag          = "1.0"
        command      = "hello"
        args         = ["serve", "':8080'"]
        network_mode = "public-bridge"

        port_map = {
          http = "8080"
        }
      }

      resources {
        cpu    = 100
        memory = 64

        network {
          port "http" {}
        }
      }
    }
  }
}
