# A rolling update: a new version starts as one canary, and replaces the others one by one when the
# canary is healthy. If it is not, nothing changes. Run it again with -var version=2
#
#     nomad job run -var image=URL -var pot=NAME example-jobs/canary.nomad.hcl

variable "image" {
  type        = string
  default     = "http://127.0.0.1:8000/pots"
  description = "URL of the directory that the image's files are in"
}

variable "pot" {
  type    = string
  default = "hello-linux" # hello-freebsd, on a client that runs FreeBSD
}

variable "version" {
  type    = string
  default = "1"
}

job "canary" {
  update {
    canary           = 1
    max_parallel     = 1
    min_healthy_time = "2s" # longer, for a program that may fail later
    healthy_deadline = "2m"
    auto_promote     = true
    auto_revert      = true
  }

  group "canary" {
    count = 2

    network {
      port "http" {
        to = 8080
      }
    }

    service {
      name     = "canary"
      provider = "nomad"
      port     = "http"

      check {
        type     = "http"
        path     = "/"
        interval = "1s"
        timeout  = "2s"
      }
    }

    task "web" {
      driver = "pot"

      env {
        VERSION = var.version
      }

      config {
        image   = var.image
        pot     = var.pot
        tag     = "1.0"
        command = "/bin/hello"
        args    = ["serve", ":8080"]
      }

      resources {
        cpu    = 100 # MHz
        memory = 64  # MiB, though Nomad calls it MB
      }
    }
  }
}
